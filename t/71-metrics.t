# kapokmq_metrics: its figures against traffic of the test's own, its formats
# as promtool, a strict reader and a real Prometheus see them, and what is
# made of them in conf/: the dashboard and the alerts.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Encode qw(decode encode);
use Mojo::JSON qw(decode_json);
use Mojo::Util qw(url_escape);
use Test::More;
use KapokMQ::Metrics qw(read_openmetrics read_text);
use KapokMQ::Suite;
use KapokMQ::Test;

for my $tool (qw(promtool prometheus)) {
    system("command -v $tool > /dev/null") == 0
        or die "$tool is missing: Debian's package prometheus";
}

my $OPEN = 'application/openmetrics-text; version=1.0.0; charset=utf-8';
my $TEXT = 'text/plain; version=0.0.4; charset=utf-8';

my $mq = KapokMQ::Test->start(
    allow => qr/access forbidden by rule/,
    yaml => { confirm => 'ack', pushRetryTime => 300, isPersistent => 2 },
    topics => <<'YAML',
    dies: { maxDeliveries: 1 }
    old:  { cleanTime: 1 }
YAML
    http => <<'CONF',
log_format type '$uri $sent_http_content_type';
CONF
    conf => <<'CONF');
location = /metrics { kapokmq_metrics; access_log type.log type; }
location = /few { kapokmq_metrics topics=2; }
location = /none { kapokmq_metrics topics=0; }
location = /key { kapokmq_metrics key topics=0; }
location = /denied { kapokmq_metrics; deny all; }
location = /text {
    proxy_pass http://$server_addr:$server_port/metrics;
    proxy_set_header Accept text/plain;
    access_log type.log type;
}
CONF

# A request; the result.
sub get {
    my ($path, $headers, $method) = @_;
    my $url = "http://127.0.0.1:$mq->{port}$path";
    my $ua = Mojo::UserAgent->new(max_connections => 0);

    return $ua->start($ua->build_tx($method // 'GET', $url,
                                    { %{$headers // {}} }))->result;
}

sub open_text { return get($_[0] // '/metrics', { Accept => $OPEN })->body }
sub metrics   { return read_openmetrics(open_text(@_))->{samples} }

# The samples of a family that is told apart by topic.
sub by_topic {
    my ($all, $name) = @_;

    return map { $all->{labels}{$_}{topic} => $all->{samples}{$_} }
           grep { /^\Q$name\E\{/ } keys %{$all->{samples}};
}

sub figures_are {
    my ($wanted, $name) = @_;
    my $all;

    wait_for {
        $all = metrics();
        !grep { ($all->{$_} // 'none') ne $wanted->{$_} } keys %$wanted
    } $name;
    is($all->{$_} // 'none', $wanted->{$_}, "$name: $_")
        for sort grep { ($all->{$_} // 'none') ne $wanted->{$_} }
        keys %$wanted;
}


# --- nothing yet

figures_are({
    (map { ("kapokmq_messages_${_}_total" => 0) }
     qw(published delivered redelivered confirmed died expired refused deleted
        requeued)),
    (map { ("kapokmq_messages_$_" => 0) }
     qw(waiting in_flight retrying delayed consumed dead)),
    (map { (qq(kapokmq_redeliveries_total{reason="$_"}) => 0) }
     qw(end return overdue uncharged)),
    kapokmq_consumers_resting => 0,
    kapokmq_oldest_in_flight_age_seconds => 0,
    kapokmq_topics => 0, kapokmq_topics_summed => 0,
    kapokmq_producers => 0, kapokmq_consumers => 0,
    kapokmq_workers => $mq->{workers}, kapokmq_workers_retiring => 0,
    kapokmq_oldest_waiting_age_seconds => 0,
    kapokmq_push_latency_seconds_count => 0,
    'kapokmq_push_latency_seconds_bucket{le="+Inf"}' => 0,
    kapokmq_persistence_mode => 2, kapokmq_disk_failing => 0,
    kapokmq_repairs_total => 0, kapokmq_shards => 16,
    kapokmq_messages_waiting_max => 1_000_000,
}, 'an empty queue');


# --- a little of everything

my $consumer = $mq->consumer('orders', 'c1', confirm => 'ack');
my $producer = $mq->producer('orders', 'p1');
$producer->send(qw(m1 m2 m3 m4 m5));
wait_for { @{$consumer->messages} == 5 && @{$producer->texts} == 5 }
         'five messages are pushed';
my @codes = $consumer->codes;
$consumer->send(@codes[0 .. 2]);

# one is given back, and pushed again
$consumer->send("-$codes[4]");
wait_for { $consumer->got($codes[4]) == 2 } 'one is pushed again';

# delays that are none, twice, and by HTTP
$producer->send(('{"MessageData":"x","DelayTime":"soon"}') x 2);
wait_for { @{$producer->texts} == 7 } 'two are refused';
is(scalar($mq->post('/Producer/Send', { topic => 'orders',
    messageData => 'x', delayTime => 'soon' })->{code}), -1, 'and a third');

my $later = $mq->publish('later', 'x', 3000);
$mq->publish('later', 'y', 3000);
$mq->remove($later);
$mq->publish('old', 'x');

# one dies, waits again, and dies again
my $killer = $mq->consumer('dies', 'k1', confirm => 'ack');
my $victim = $mq->publish('dies', 'x');
for my $times (1, 2) {
    wait_for { $killer->got($victim) == $times } "a message is pushed";
    $killer->send("-$victim");
    wait_for { $mq->counts->{dead} == 1 } 'and dies';
    $mq->requeue(messageCode => $victim) if $times == 1;
}

$mq->publish('waits', $_) for 1 .. 3;

figures_are({
    kapokmq_messages_published_total => 12,
    kapokmq_messages_delivered_total => 8,
    kapokmq_messages_redelivered_total => 1,
    kapokmq_messages_confirmed_total => 3,
    'kapokmq_redeliveries_total{reason="return"}' => 3,
    'kapokmq_redeliveries_total{reason="end"}' => 0,
    kapokmq_messages_retrying => 0,
    kapokmq_messages_died_total => 2,
    kapokmq_messages_expired_total => 1,
    kapokmq_messages_refused_total => 3,
    kapokmq_messages_deleted_total => 1,
    kapokmq_messages_requeued_total => 1,
    kapokmq_history_dropped_total => 0,
    kapokmq_messages_waiting => 3,
    kapokmq_messages_in_flight => 2,
    kapokmq_messages_delayed => 1,
    kapokmq_messages_consumed => 3,
    kapokmq_messages_dead => 1,
    kapokmq_topics => 5,
    kapokmq_producers => 1,
    kapokmq_consumers => 2,
    'kapokmq_topic_messages_published_total{topic="orders"}' => 5,
    'kapokmq_topic_messages_delivered_total{topic="orders"}' => 6,
    'kapokmq_topic_messages_redelivered_total{topic="orders"}' => 1,
    'kapokmq_topic_messages_confirmed_total{topic="orders"}' => 3,
    'kapokmq_topic_messages_refused_total{topic="orders"}' => 3,
    'kapokmq_topic_messages_in_flight{topic="orders"}' => 2,
    'kapokmq_topic_messages_consumed{topic="orders"}' => 3,
    'kapokmq_topic_messages_waiting{topic="orders"}' => 0,
    'kapokmq_topic_producers{topic="orders"}' => 1,
    'kapokmq_topic_consumers{topic="orders"}' => 1,
    'kapokmq_topic_oldest_waiting_age_seconds{topic="orders"}' => 0,
    'kapokmq_topic_messages_delayed{topic="later"}' => 1,
    'kapokmq_topic_messages_expired_total{topic="old"}' => 1,
    'kapokmq_topic_messages_died_total{topic="dies"}' => 2,
    'kapokmq_topic_messages_dead{topic="dies"}' => 1,
    'kapokmq_topic_messages_waiting{topic="waits"}' => 3,
    'kapokmq_topic_consumers{topic="waits"}' => 0,
}, 'what the traffic was');

# of first pushes: 5 orders, and the message that died, which began anew when
# it was requeued
my $figures = metrics();
is($figures->{kapokmq_push_latency_seconds_count}, 7, 'latencies');
is($figures->{'kapokmq_push_latency_seconds_bucket{le="300.0"}'}, 7,
   'none took minutes');
cmp_ok($figures->{kapokmq_push_latency_seconds_sum}, '<=', 100,
       'their sum is of seconds');

cmp_ok(abs(time - $figures->{$_}), '<', 60, "$_ is a time")
    for qw(kapokmq_last_flush_timestamp_seconds
           kapokmq_start_timestamp_seconds);
cmp_ok($figures->{kapokmq_journal_bytes}, '>', 500, 'bytes of the journal');
cmp_ok($figures->{kapokmq_zone_size_bytes}, '>', 60e6, 'the zone');
cmp_ok($figures->{kapokmq_zone_free_bytes}, '<=',
       $figures->{kapokmq_zone_size_bytes}, 'is free in part');
is((grep { /^kapokmq_build_info\{version="\d+\.\d+\.\d+",nginx_version="\d/ }
    keys %$figures), 1, 'the version');
is($figures->{'kapokmq_config_info{push_type="1",persistence="2",'
              . 'confirm="ack",prefetch="1000",max_deliveries="0"}'}, 1,
   'the settings');

# ages are in seconds, and grow
wait_for { metrics()->{kapokmq_oldest_waiting_age_seconds} >= 2 }
         'the oldest message grows older';
$figures = metrics();
is($figures->{kapokmq_oldest_waiting_age_seconds},
   $figures->{'kapokmq_topic_oldest_waiting_age_seconds{topic="waits"}'},
   'and its topic says the same');


# --- who may ask, and how

my $result = get('/metrics');
is($result->code, 200, 'GET');
is($result->headers->content_type, $TEXT, 'the text format by default');
$result = get('/metrics', { Accept => $OPEN });
is($result->headers->content_type, $OPEN, 'OpenMetrics where preferred');
is(get('/metrics', { Accept => $_ })->headers->content_type, $TEXT,
   "the text format for $_")
    for '*/*', 'application/openmetrics-text;version=0.0.1',
        'application/openmetrics-text;q=0.2,text/plain;q=0.3', 'image/png';

$result = get('/metrics', {}, 'HEAD');
is($result->code, 200, 'HEAD');
is($result->body, '', 'without a body');
is($result->headers->content_type, $TEXT, 'with its type');

$result = get('/metrics', {}, 'POST');
is($result->code, 405, 'POST is not allowed');
is($result->headers->header('Allow'), 'GET, HEAD', 'and told what is');
is(get('/denied')->code, 403, 'deny is obeyed');

$result = get('/key');
is($result->code, 401, 'no key');
is($result->headers->www_authenticate, 'Bearer', 'and told how');
for my $wrong ({ secretKey => 'sesam' }, { secretKey => '' },
               { Authorization => 'Bearer sesamee' },
               { Authorization => 'Bearer ' }, { Authorization => 'Bearer' },
               { Authorization => 'sesame' },
               { Authorization => 'Basic sesame' },
               { Authorization => 'Bearer x', secretKey => 'x' })
{
    my ($name) = map { "$_: $wrong->{$_}" } sort keys %$wrong;
    is(get('/key', $wrong)->code, 401, "not with $name");
}
for my $right ({ secretKey => 'sesame' },
               { Authorization => 'Bearer sesame' },
               { Authorization => 'bearer   sesame' })
{
    my ($name) = %$right;
    is(get('/key', $right)->code, 200, "with $name: $right->{$name}");
}

for my $bad (qw(topics topics= topics=x topics=-1 topics=10001 keys)) {
    my $refused = KapokMQ::Test->new(
        conf => "location = /m { kapokmq_metrics $bad; }");
    my ($status, $says) = $refused->test_config;
    is($status, 1, "kapokmq_metrics $bad is refused");
    like($says, qr/\[emerg\][^\n]*"\Q$bad\E"[^\n]*:\d+/, 'and said where');
    $refused->discard;
}


# --- the formats

sub promtool {
    my ($input, @arguments) = @_;

    open my $out, '>', $mq->dir . '/promtool.in' or die $!;
    print {$out} $input;
    close $out;
    my $command = join ' ', 'promtool', @arguments;
    my $says = qx($command < $mq->{dir}/promtool.in 2>&1);
    return $? ? "exit $?: $says" : $says;
}

is(promtool(get('/metrics')->body, qw(check metrics)), '',
   'promtool finds nothing wrong');

# Samples in one format are the samples in the other, but what goes on while
# one looks: ages, and the time of the last flush.
my $open = read_openmetrics(open_text());
my $text = read_text(get('/metrics')->body);
for my $samples ($open->{samples}, $text->{samples}) {
    delete @$samples{grep { /_age_seconds|_timestamp_|journal_bytes/ }
                     keys %$samples};
}
is_deeply($text->{samples}, $open->{samples}, 'both formats say the same');
is($open->{names}{kapokmq_messages_published_total}, 'counter',
   'a counter in OpenMetrics');
is($text->{names}{kapokmq_messages_published_total}, 'counter',
   'and in the text format');


# --- many topics, and odd ones

# A message to each topic, 100 on a connection; how many are accepted.
sub send_to {
    my @topics = @_;
    my $accepted = 0;

    while (my @some = splice @topics, 0, 100) {
        my $raw = $mq->raw('', upgrade => 0);
        for my $topic (@some) {
            my $body = 'messageData=x&topic=' . url_escape($topic);
            $raw->write("POST /Producer/Send HTTP/1.1\r\nHost: x\r\n"
                . "secretKey: sesame\r\nContent-Length: " . length($body)
                . "\r\n\r\n$body");
        }
        $raw->write("OPTIONS /Producer/Send HTTP/1.0\r\n\r\n");
        $accepted += () = $raw->rest =~ m{HTTP/1\.1 200 }g;
    }

    return $accepted;
}

my @odd = ('quote " here', "line\nfeed", 'back\\slash', '\\n', '\\', '"',
           "\"}\nkapokmq_topics 7\n#", "tab\tbell\a\x01\x7f\r", '{a="b"}',
           encode('UTF-8', "\x{6d88}\x{606f}\x{1f4ec}\x{e9}\x{feff}"),
           'x' x 255, '"' x 255, ' ', '=', ',', '# EOF');
my $before = metrics()->{kapokmq_messages_published_total};
my $number = send_to(@odd, map { "topic $_" } 1 .. 1500 - 5 - @odd);
is($number, 1495, 'messages for 1,495 more topics');

$open = read_openmetrics(open_text());
my $total = $before + $number;
is($open->{samples}{kapokmq_messages_published_total}, $total,
   'they are counted');
is($open->{samples}{kapokmq_topics}, 1500, '1,500 topics');
is($open->{samples}{kapokmq_topics_summed}, 500, '500 are summed up');
for my $name (qw(kapokmq_topic_messages_published_total
                 kapokmq_topic_messages_waiting))
{
    my %by = by_topic($open, $name);
    my $sum = 0;
    $sum += $_ for values %by;
    is(keys %by, 1001, "$name: 1,000 topics and the rest");
    is($by{''}, 500, 'the rest is of 500 topics');
    is($sum, $open->{samples}{$name =~ s/topic_//r}, 'the sum is right');
}
my %published = by_topic($open, 'kapokmq_topic_messages_published_total');
is_deeply([grep { !exists $published{$_} } @odd], [],
          'odd names are as they were');
is(promtool(get('/metrics')->body, qw(check metrics)), '',
   'promtool reads them');
my %same = by_topic(read_text(get('/metrics')->body),
                    'kapokmq_topic_messages_published_total');
is_deeply(\%same, \%published, 'in the text format, too');
my %few = by_topic(read_openmetrics(open_text('/few')),
                   'kapokmq_topic_messages_published_total');
is(keys %few, 3, 'topics=2: two and the rest');
my $rest = delete $few{''};
my ($one, $two) = values %few;
is($rest, $total - $one - $two, 'which are all others');
my $none = read_openmetrics(open_text('/none'));
is_deeply({ by_topic($none, 'kapokmq_topic_messages_published_total') },
          { '' => $total }, 'topics=0: all others');
is($none->{samples}{kapokmq_topics_summed}, 1500, 'namely 1,500');
wait_for {
    metrics()->{'kapokmq_topic_oldest_waiting_age_seconds{topic="{a=\"b\"}"}'}
} 'several topics have an age';
$none = metrics('/none');
is($none->{'kapokmq_topic_oldest_waiting_age_seconds{topic=""}'},
   $none->{kapokmq_oldest_waiting_age_seconds}, 'ages are not summed up');


# --- a real Prometheus

sub spew {
    my ($name, $content) = @_;
    my $path = "$mq->{dir}/$name";

    open my $out, '>', $path or die "$path: $!";
    print {$out} $content;
    close $out or die "$path: $!";

    return $path;
}

my $rules = "$KapokMQ::Suite::Root/conf/alerts.yml";
my $prometheus_port = KapokMQ::Suite::free_port();
my $config = spew('prometheus.yml', <<"YAML");
global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }
rule_files: [$rules]
scrape_configs:
  - job_name: kapokmq
    static_configs: [{ targets: ['127.0.0.1:$mq->{port}'] }]
  - job_name: text
    metrics_path: /text
    static_configs: [{ targets: ['127.0.0.1:$mq->{port}'] }]
  - job_name: key
    metrics_path: /key
    authorization: { credentials: sesame }
    static_configs: [{ targets: ['127.0.0.1:$mq->{port}'] }]
YAML

my $ua = Mojo::UserAgent->new;
my $prometheus = fork // die "fork: $!";
if ($prometheus == 0) {
    open STDOUT, '>', "$mq->{dir}/prometheus.log";
    open STDERR, '>&', \*STDOUT;
    exec 'prometheus', "--config.file=$config",
         "--storage.tsdb.path=$mq->{dir}/tsdb",
         "--web.listen-address=127.0.0.1:$prometheus_port"
        or POSIX::_exit(127);
}

END {
    my $status = $?;

    if ($prometheus) {
        kill 'KILL', $prometheus;
        waitpid $prometheus, 0;
    }
    $? = $status;
}

# What Prometheus' API answers; {} until it is there.
sub ask {
    my ($path, %form) = @_;
    my $tx = $ua->get("http://127.0.0.1:$prometheus_port/api/v1/$path",
                      form => \%form);

    return eval { decode_json($tx->result->body) } // {};
}

sub query {
    my ($expr) = @_;
    my $result = ask('query', query => $expr)->{data}{result} // [];

    return @$result == 1 ? $result->[0]{value}[1] : 'none';
}

# A busy machine may let it miss a scrape.
sub is_scraped {
    my ($expr, $value) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    wait_for { query($expr) eq $value } "$expr is $value";
}

for my $job (qw(kapokmq text key)) {
    is_scraped(qq(up{job="$job"}), 1);
    is_scraped(qq(kapokmq_messages_published_total{job="$job"}), $total);
    is_scraped(qq(sum(kapokmq_topic_messages_published_total{job="$job"})),
               $total);
    is_scraped(
        qq(kapokmq_topic_messages_published_total{job="$job",topic=""}),
        $job eq 'key' ? $total : 500);
}
is_scraped('kapokmq_topic_messages_confirmed_total'
           . '{job="kapokmq",topic="orders"}', 3);

my @labels = @{ask('series', 'match[]' =>
    'kapokmq_topic_messages_published_total{job="kapokmq"}')->{data}};
my %known = map { encode('UTF-8', $_->{topic} // '') => 1 } @labels;
is_deeply([grep { !$known{$_} } @odd], [], 'odd names are known as they are');

open my $types, '<', "$mq->{dir}/type.log" or die $!;
my %type;
$type{$_}++ for map { chomp; $_ } <$types>;
cmp_ok($type{"/metrics $OPEN"} // 0, '>', 0, 'it has asked for OpenMetrics');
cmp_ok($type{"/text $TEXT"} // 0, '>', 0, 'and, made to, for text');

# It has to say the same after a change.
$mq->publish('waits', 'one more');
is_scraped('kapokmq_messages_published_total{job="kapokmq"}', $total + 1);


# --- the dashboard and the alerts

is(promtool('', qw(check rules), $rules) =~ /SUCCESS: 27 rules/, 1,
   'promtool reads the alerts');
wait_for {
    my @groups = @{ask('rules')->{data}{groups} // []};
    my @all = map { @{$_->{rules}} } @groups;
    @all == 27 && !grep { $_->{health} ne 'ok' } @all
} 'Prometheus evaluates all of them'
    or diag(map { "$_->{name}: " . ($_->{lastError} // '') . "\n" }
            map { @{$_->{rules}} } @{ask('rules')->{data}{groups} // []});
wait_for {
    grep { $_->{name} eq 'KapokmqNoConsumer' && $_->{state} eq 'pending' }
    map { @{$_->{rules}} } @{ask('rules')->{data}{groups} // []}
} 'and sees that nobody consumes';

sub slurp {
    my ($path) = @_;

    open my $in, '<', "$KapokMQ::Suite::Root/$path" or die "$path: $!";
    local $/;
    return scalar <$in>;
}

my $dashboard = decode_json(slurp('conf/grafana-dashboard.json'));
is($dashboard->{id}, undef, 'the dashboard has no id');
my @targets = map { @{$_->{targets} // []} } @{$dashboard->{panels}};
cmp_ok(@targets, '>', 30, 'but panels');
is((grep { $_->{datasource}{uid} ne '${datasource}' } @targets), 0,
   'which ask the data source that was chosen');
for my $target (@targets) {
    my $expr = $target->{expr};
    $expr =~ s/\$__rate_interval/1m/g;
    $expr =~ s/=~"\$\w+"/=~".*"/g;
    # this queue has no checkpoint
    my $least = $expr =~ /last_checkpoint/ ? 0 : 1;
    my $answer;
    wait_for {
        $answer = ask('query', query => $expr);
        $answer->{status} && ($answer->{status} eq 'error'
                              || @{$answer->{data}{result}} >= $least)
    } $target->{expr};
    is($answer->{error}, undef, 'is understood');
}

# Names: those in use exist, and all are described.
my %names = %{$open->{names}};
$names{kapokmq_last_checkpoint_timestamp_seconds} = 'gauge';
# those of a cluster, as their file has them
{
    my $table = slurp('src/server/metrics/ngx_kapokmq_metrics_cluster.c');
    while ($table =~ /\{ "(cluster_\w+)",.*?NGX_KAPOKMQ_(COUNTER|GAUGE)/gs) {
        $names{"kapokmq_$1" . ($2 eq 'COUNTER' ? '_total' : '')} = lc $2;
    }
}
sub names_in { return $_[0] =~ /\b(kapokmq_\w+)/g }
for my $file (qw(conf/grafana-dashboard.json conf/alerts.yml)) {
    is_deeply([grep { !$names{$_} } names_in(slurp($file))], [],
              "$file names what there is");
}
my $doc = slurp('docs/metrics.md');
my %described = map { $_ => 1 } $doc =~ /`(kapokmq_\w+)`/g;
delete $described{kapokmq_push_latency_seconds};
is_deeply([grep { !$names{$_} } sort keys %described], [],
          'docs/metrics.md names what there is');
is_deeply([grep { !$described{$_} && !/^kapokmq_push_latency_seconds_/ }
           sort keys %names], [], 'all of it');


# --- promtool's own test of the alerts

sub series {
    my ($name, $values) = @_;

    return qq(      - series: '$name'\n        values: '$values'\n);
}

my $test = <<"YAML" . join '', map { series(@$_) }
rule_files: [$rules]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
YAML
    ['up{job="kapokmq"}', '1 1 0x30'],
    ['kapokmq_topic_messages_waiting{topic="a"}', '5x30'],
    ['kapokmq_topic_consumers{topic="a"}', '0x30'],
    ['kapokmq_topic_messages_waiting{topic=""}', '5x30'],
    ['kapokmq_topic_consumers{topic=""}', '0x30'],
    ['kapokmq_topic_oldest_waiting_age_seconds{topic="b"}', '0+60x30'],
    ['kapokmq_topic_consumers{topic="b"}', '1x30'],
    # one that is paused: neither rule is for it
    ['kapokmq_topic_messages_waiting{topic="p"}', '5x30'],
    ['kapokmq_topic_consumers{topic="p"}', '0x10 1x20'],
    ['kapokmq_topic_oldest_waiting_age_seconds{topic="p"}', '0+60x30'],
    ['kapokmq_topic_paused{topic="p"}', '1x30'],
    ['kapokmq_topic_paused{topic="a"}', '0x30'],
    ['kapokmq_redeliveries_total{reason="overdue"}', '0+6x30'],
    ['kapokmq_redeliveries_total{reason="end"}', '0+6x30'],
    ['kapokmq_redeliveries_total{reason="uncharged"}', '0+600x30'],
    ['kapokmq_messages_delivered_total', '0+100x30'],
    # a topic that fails, beside one that does not, and one that nobody sees
    ['kapokmq_topic_messages_redelivered_total{topic="b"}', '0+12x30'],
    ['kapokmq_topic_messages_delivered_total{topic="b"}', '0+100x30'],
    ['kapokmq_topic_messages_redelivered_total{topic="a"}', '0+9x30'],
    ['kapokmq_topic_messages_delivered_total{topic="a"}', '0+100x30'],
    ['kapokmq_topic_messages_redelivered_total{topic=""}', '0+90x30'],
    ['kapokmq_topic_messages_delivered_total{topic=""}', '0+100x30'],
    # one that holds and confirms nothing, one that confirms, one that rests
    ['kapokmq_topic_messages_in_flight{topic="a"}', '3x40'],
    ['kapokmq_topic_messages_confirmed_total{topic="a"}', '7x40'],
    ['kapokmq_topic_messages_in_flight{topic="b"}', '3x40'],
    ['kapokmq_topic_messages_confirmed_total{topic="b"}', '0+1x40'],
    ['kapokmq_topic_messages_in_flight{topic="c"}', '0x40'],
    ['kapokmq_topic_messages_confirmed_total{topic="c"}', '7x40'],
    ['kapokmq_topic_consumers_resting{topic="a"}', '0x4 1x25'],
    ['kapokmq_topic_consumers_resting{topic=""}', '2x30'],
    ['kapokmq_oldest_in_flight_age_seconds', '3300+60x30'],
    ['kapokmq_topic_messages_died_total{topic="a"}', '0x20 1x10'],
    ['kapokmq_messages_refused_total', '0x20 1x10'],
    ['kapokmq_messages_waiting', '91x30'],
    ['kapokmq_messages_waiting_max', '100x30'],
    ['kapokmq_zone_size_bytes', '100x30'],
    ['kapokmq_zone_free_bytes', '1x30'],
    ['kapokmq_zone_history_bytes', '1x15 50x15'],
    ['kapokmq_disk_failing', '0x15 1x15'],
    ['kapokmq_last_flush_timestamp_seconds', '0x30'],
    ['kapokmq_messages_published_total', '0x15 0+1x15'],
    ['kapokmq_persistence_mode', '1x30'],
    ['kapokmq_journal_bytes', '1000000000x30'],
    ['kapokmq_checkpoint_bytes', '1000x30'],
    ['kapokmq_repairs_total', '0x20 1x10'],
    ['kapokmq_push_latency_seconds_bucket{le="10.0"}', '0x30'],
    ['kapokmq_push_latency_seconds_bucket{le="30.0"}', '0+60x30'],
    ['kapokmq_push_latency_seconds_bucket{le="+Inf"}', '0+60x30'],
    ['kapokmq_cluster_has_primary{instance="a"}', '1x4 0x25'],
    ['kapokmq_cluster_has_primary{instance="b"}', '0x30'],
    ['kapokmq_cluster_primary{instance="a"}', '1x30'],
    ['kapokmq_cluster_primary{instance="b"}', '0x10 1x20'],
    ['kapokmq_cluster_blocked', '0x10 1x20'],
    ['kapokmq_cluster_paused', '0x10 1x20'],
    ['kapokmq_cluster_nodes', '3x30'],
    ['kapokmq_cluster_nodes_heard', '3x10 2x20'],
    ['kapokmq_cluster_replicas', '3x30'],
    ['kapokmq_cluster_replicas_current', '3x10 2x20'],
    ['kapokmq_cluster_lag_entries', '0x10 5000x20'],
    ['kapokmq_cluster_epoch', '1x10 2+1x20'];

# when each alert fires, and when not
$test .= "    promql_expr_test:\n";
for ([KapokmqDown => 2, 4], [KapokmqNoConsumer => 9, 11],
     [KapokmqTooSlow => 14, 17], [KapokmqPushSlow => 8, 13],
     [KapokmqFailing => 9, 13], [KapokmqRedelivering => 9, 13],
     [KapokmqNotConfirming => 15, 18], [KapokmqResting => 14, 16],
     [KapokmqStuck => 10, 12], [KapokmqDeadLetters => 19, 22], [KapokmqRefused => 19, 22],
     [KapokmqQueueFull => 4, 6], [KapokmqMemoryShort => 20, 8],
     [KapokmqDiskFailing => 16, 19], [KapokmqFlushOld => 15, 20],
     [KapokmqCheckpointOld => 14, 16], [KapokmqRepaired => 19, 22],
     [KapokmqNoPrimary => 4, 7], [KapokmqTwoPrimaries => 10, 13],
     [KapokmqBlocked => 10, 12], [KapokmqPaused => 10, 13],
     [KapokmqNodeGone => 14, 17], [KapokmqReplicaBehind => 14, 17],
     [KapokmqStandbyBehind => 14, 17], [KapokmqTakeovers => 12, 16])
{
    my ($alert, $quiet, $firing) = @$_;
    my $expr = qq(count(ALERTS{alertname="$alert",alertstate="firing"}));
    $test .= qq(      - expr: '$expr'\n        eval_time: ${quiet}m\n)
           . qq(      - expr: '$expr'\n        eval_time: ${firing}m\n)
           . qq(        exp_samples: [{ labels: '{}', value: 1 }]\n);
}

# what takes hours
$test .= <<"YAML"
  - interval: 1m
    input_series:
YAML
    . series('kapokmq_topic_messages_waiting{topic="a"}', '5x200')
    . series('kapokmq_topic_paused{topic="a"}', '0x30 1x170')
    . series('kapokmq_topic_messages_waiting{topic="b"}', '0x200')
    . series('kapokmq_topic_paused{topic="b"}', '1x200')
    . <<"YAML";
    promql_expr_test:
      - expr: 'count(ALERTS{alertname="KapokmqTopicPaused",alertstate="firing"})'
        eval_time: 88m
      - expr: 'count(ALERTS{alertname="KapokmqTopicPaused",alertstate="firing"})'
        eval_time: 93m
        exp_samples: [{ labels: '{}', value: 1 }]
YAML

# what takes days
$test .= <<"YAML"
  - interval: 1m
    input_series:
YAML
    . series('kapokmq_topic_messages_dead{topic="a"}', '0x60 1x1600')
    . series('kapokmq_topic_messages_dead{topic="b"}', '1x720 0 1x900')
    . <<"YAML";
    promql_expr_test:
      - expr: 'count(ALERTS{alertname="KapokmqDeadStay",alertstate="firing"})'
        eval_time: 1490m
      - expr: 'count(ALERTS{alertname="KapokmqDeadStay",alertstate="firing"})'
        eval_time: 1510m
        exp_samples: [{ labels: '{}', value: 1 }]
YAML

like(promtool('', qw(test rules), spew('alerts.yml', $test)), qr/SUCCESS/,
     'each alert fires when it should, and not before');

kill 'TERM', $prometheus;
waitpid $prometheus, 0;
undef $prometheus;

$_->finish for $consumer, $producer, $killer;


# --- after a crash

# Totals that were restored may be less than they were, and rates would be of
# all of them; so counters begin anew.
my $published = $mq->post('/Console/GetOverview')->{data}{Published};
is($published, $total + 1, 'the console has the same total');
$mq->kill_all;
$mq->launch;
is($mq->post('/Console/GetOverview')->{data}{Published}, $published,
   'and has it after a crash, too');
$mq->publish('waits', 'another');
figures_are({
    kapokmq_messages_published_total => 1,
    kapokmq_messages_confirmed_total => 0,
    'kapokmq_topic_messages_published_total{topic="orders"}' => 0,
    'kapokmq_topic_messages_published_total{topic="waits"}' => 1,
    'kapokmq_topic_messages_waiting{topic="waits"}' => 5,
}, 'metrics begin anew');

$mq->finish;
done_testing;
