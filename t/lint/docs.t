#!/usr/bin/env perl
#
# t/lint/docs.py finds each kind of mistake: a few pages in a directory of their
# own, sound at first, and then with one thing wrong at a time.

use strict;
use warnings;

use Cwd 'abs_path';
use File::Basename qw(dirname);
use File::Path 'make_path';
use File::Temp 'tempdir';
use Test::More;

my $docs = abs_path(dirname(__FILE__)) . '/docs.py';

my %sound = (
    'ngx_kapokmq_module.c' => qq(    { ngx_string("kapokmq_zone"),\n),
    'conf/application.yaml' => "mq:\n  pushType: 1\n",
    'src/server/config/kmq_config.c' => <<'END',
static const kmq_key_t  kmq_mq_keys[] = {
    { "pushType", kmq_value_whole, KMQ_TOPIC_MEMBER(push_type),
      1, 2, KMQ_PUSH_ONE, KMQ_CONFIG_TOPIC },
    { "rePushCount", kmq_read_ignored, 0, 0, 0, 0, KMQ_CONFIG_HIDDEN },
    { NULL, NULL, 0, 0, 0, 0, 0 }
};
END
    'README.md' => "# A queue\n\n[docs](docs/configuration.md#settings)\n",
    'README.zh.md' => "# 队列\n\n[文档](docs/zh/configuration.md#配置项)\n",
    'docs/configuration.md' => <<'END',
# Configuration

`kapokmq_zone`, and `/Console/Ping`.

## Settings

| key | default | meaning |
|---|---|---|
| `pushType` | 1 | how |

```sh
nginx -t    # checks it
```
END
    'docs/zh/configuration.md' => <<'END',
# 配置

`kapokmq_zone`、`/Console/Ping`。

## 配置项

| 项 | 默认 | 含义 |
|---|---|---|
| `pushType` | 1 | 方式 |

```sh
nginx -t    # 检查
```
END
    'clients/js/README.md' => "# A client\n\n[docs](../../README.md)\n",
    'docs/zh/operations.md' => "# 运维\n\n`pushType`\n\n```sh\nnginx -t\n```\n",
);

# Ends with this status, and says this, when a page is changed so.
sub check {
    my ($name, $says, $file, $from, $to) = @_;
    my %tree = %sound;
    my $dir = tempdir(CLEANUP => 1);

    if (defined $file) {
        die "$name: no '$from' in $file\n" if index($tree{$file}, $from) < 0;
        $tree{$file} =~ s/\Q$from\E/$to/;
    }
    for my $path (sort keys %tree) {
        make_path(dirname("$dir/$path"));
        open my $out, '>', "$dir/$path" or die $!;
        print $out $tree{$path};
        close $out;
    }
    my $got = `cd '$dir' && '$docs' 2>&1`;
    return is($got, '', $name) if $says eq '';
    isnt($?, 0, "$name: fails");
    like($got, qr/\Q$says\E/, "$name: is named");
}

my ($en, $zh) = ('docs/configuration.md', 'docs/zh/configuration.md');

check('sound', '');
check('a comment of an example', '', $zh, '# 检查', '# 检查一下');
check('a page that is not there', 'leads nowhere', 'README.md',
      'docs/configuration.md', 'docs/other.md');
check('a heading that is not there', 'there is no such heading', 'README.md',
      '#settings', '#setting');
check("a client's page", 'the link to ../README.md leads nowhere',
      'clients/js/README.md', '../../', '../');
check('a Chinese heading', 'there is no such heading', 'README.zh.md',
      '#配置项', '#设置');
check('a setting', 'lacks the setting pushType', $en, '`pushType`', '`other`');
check('a directive', 'lacks the directive kapokmq_zone', $en, 'kapokmq_zone',
      'zone');
check('new in English', "$zh: lacks kapokmq_send", $en, 'kapokmq_zone`',
      'kapokmq_zone`, `kapokmq_send`');
check('gone from English', "$en: lacks /Console/Ping", $en, '`/Console/Ping`',
      'Ping');
check('another page', 'lacks docs/configuration.md', 'README.zh.md',
      '[文档](docs/zh/configuration.md#配置项)', '文档');
check('a default', 'pushType` is 2', $zh, '| 1 |', '| 2 |');
check('an example', 'example 1 is not that', $zh, 'nginx -t', 'nginx -T');
check('an example more', '0 examples', $zh, '```sh', '```');
check('a name of a shorter page', 'kapokmq_send is in no English page',
      'docs/zh/operations.md', '`pushType`', '`kapokmq_send`');
check('its example', 'is in no English page: nginx -T', 'docs/zh/operations.md',
      'nginx -t', 'nginx -T');

done_testing;
