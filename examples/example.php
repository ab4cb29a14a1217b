<?php
// php example.php produce http://127.0.0.1:8011 KEY TOPIC [DELAY]
//     each line of the standard input is a message, delayed by DELAY seconds
// php example.php consume http://127.0.0.1:8011 KEY TOPIC
//
// By HTTP, with what every PHP has: a page that sends needs no connection that
// stays, and a worker may ask for messages.

[, $what, $base, $key, $topic] = $argv;
$delay = (float) ($argv[5] ?? 0);

// An answer, as an array, or null when there is none.
function post(string $path, array $fields): ?array
{
    global $base, $key, $status;

    $context = stream_context_create(['http' => [
        'method' => 'POST',
        'header' => "secretKey: $key\r\nContent-Type: application/json",
        'content' => json_encode($fields),
        'ignore_errors' => true,
        'timeout' => 60,
    ]]);
    $text = @file_get_contents($base . $path, false, $context);
    $status = (int) explode(' ', $http_response_header[0] ?? ' 0')[1];

    return $text === false ? null : json_decode($text, true);
}

// The same, again and again until it is answered: after half a second, and
// twice as long each time, up to half a minute.
function post_until_answered(string $path, array $fields): array
{
    global $status;

    for ($pause = 0.5; ; $pause = min(30, 2 * $pause)) {
        $answer = post($path, $fields);
        if ($status == 401) {
            exit("wrong secret key\n");
        }
        if ($answer !== null && $status < 500 && $status != 429) {
            return $answer;
        }
        fwrite(STDERR, "no answer, or $status\n");
        usleep((int) ($pause * random_int(500_000, 1_000_000)));
    }
}

if ($what == 'produce') {
    while (($line = fgets(STDIN)) !== false) {
        $line = rtrim($line, "\n");
        $answer = post_until_answered('/Producer/Send', [
            'topic' => $topic,
            'messageData' => $line,
            'delayTime' => $delay,
        ]);
        if ($answer['code'] == 0) {
            echo "stored $line\n";
        } else {
            fwrite(STDERR, "{$answer['msg']}\n");
        }
    }
} else {
    $path = '/Consumers/Pull/' . rawurlencode($topic) . '/example';
    for (;;) {
        // what is not confirmed within a minute goes to others
        $answer = post_until_answered($path,
                                      ['max' => 10, 'wait' => 20, 'lease' => 60]);
        if ($answer['code'] != 0) {
            exit("{$answer['msg']}\n");
        }
        foreach ($answer['data'] as $message) {
            echo "got {$message['MessageData']}\n";         // the work
            post_until_answered('/Consumers/Settle',
                                ['confirm' => $message['MessageCode']]);
        }
    }
}
