// java Example.java produce ws://127.0.0.1:8011 KEY TOPIC [DELAY]
//     each line of the standard input is a message, delayed by DELAY seconds
// java Example.java consume ws://127.0.0.1:8011 KEY TOPIC
//
// Java 17 or newer, with its own java.net.http.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.net.http.WebSocketHandshakeException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public class Example {
    /** A line, or a text of a connection; a text of null is its end. */
    record Event(WebSocket from, String text) { }

    /** A message that has no answer yet. */
    record Entry(String data, long due) { }

    static final BlockingQueue<Event> events = new LinkedBlockingQueue<>();
    static final Deque<Entry> unanswered = new ArrayDeque<>();
    static final HttpClient client = HttpClient.newHttpClient();
    static boolean over;        // no line comes any more
    static long delay;          // of messages, in milliseconds

    /** What comes over a connection becomes events; a text comes in parts. */
    static class Listener implements WebSocket.Listener {
        private final StringBuilder parts = new StringBuilder();

        @Override
        public CompletionStage<?> onText(WebSocket socket, CharSequence part,
                                         boolean last) {
            parts.append(part);
            if (last) {
                events.add(new Event(socket, parts.toString()));
                parts.setLength(0);
            }
            socket.request(1);
            return null;
        }

        @Override
        public CompletionStage<?> onClose(WebSocket socket, int code,
                                          String reason) {
            System.err.println(code + " " + reason);
            events.add(new Event(socket, null));
            return null;
        }

        @Override
        public void onError(WebSocket socket, Throwable error) {
            System.err.println(error);
            events.add(new Event(socket, null));
        }
    }

    /** A connection, from its begin to its end; true when no other is needed. */
    interface Session {
        boolean serve(WebSocket socket) throws InterruptedException;
    }

    /**
     * Connects again when a connection has ended: after half a second, and twice
     * as long each time, up to half a minute.
     */
    static void forever(String url, String key, Session session)
            throws InterruptedException {
        long pause = 500;

        for (;;) {
            try {
                WebSocket socket = client.newWebSocketBuilder()
                    .header("secretKey", key)
                    .buildAsync(URI.create(url), new Listener()).join();
                if (next(socket) != null) {     // Secret key matching succeeded
                    pause = 500;
                    boolean done = session.serve(socket);
                    socket.abort();
                    if (done) {
                        return;
                    }
                }
            } catch (CompletionException error) {
                if (error.getCause() instanceof WebSocketHandshakeException refused
                        && refused.getResponse().statusCode() == 401) {
                    throw error;
                }
                System.err.println(error.getCause());
            }
            Thread.sleep(pause / 2 + (long) (Math.random() * pause / 2));
            pause = Math.min(2 * pause, 30_000);
        }
    }

    /** The next event but of older connections; a line waits for its answer. */
    static Event take(WebSocket socket) throws InterruptedException {
        Event event;

        do {
            event = events.take();
        } while (event.from() != null && event.from() != socket);

        if (event.from() == null && event.text() != null) {
            unanswered.add(new Entry(event.text(),
                                     System.currentTimeMillis() + delay));
        } else if (event.from() == null) {
            over = true;
        }
        return event;
    }

    /** The next text of a connection; null when it has ended. */
    static String next(WebSocket socket) throws InterruptedException {
        Event event;

        do {
            event = take(socket);
        } while (event.from() == null);
        return event.text();
    }

    /** One text after the other: the next one may not begin before. */
    static void send(WebSocket socket, String text) {
        try {
            socket.sendText(text, true).join();
        } catch (CompletionException error) {
            // its end is an event, too
        }
    }

    static String address(String base, String kind, String topic) {
        return base + "/" + kind + "/Conn/"
            + URLEncoder.encode(topic, StandardCharsets.UTF_8).replace("+", "%20")
            + "/example";
    }

    // ------------------------------------------------------------- producer

    static void produce(String url, String key) throws InterruptedException {
        new Thread(() -> {
            new BufferedReader(new InputStreamReader(System.in,
                                                     StandardCharsets.UTF_8))
                .lines().forEach(line -> events.add(new Event(null, line)));
            events.add(new Event(null, null));
        }).start();

        forever(url, key, socket -> {
            for (Entry entry : unanswered) {
                send(socket, frame(entry));
            }
            while (!over || !unanswered.isEmpty()) {
                Event event = take(socket);
                if (event.from() == null) {
                    if (event.text() != null) {
                        send(socket, frame(unanswered.getLast()));
                    }
                } else if (event.text() == null) {
                    return false;           // what has no answer stays
                } else {
                    Entry entry = unanswered.remove();
                    if (event.text().equals("ok")) {
                        System.out.println("stored " + entry.data());
                    } else {
                        System.err.println(event.text());
                    }
                }
            }
            return true;
        });
    }

    static String frame(Entry entry) {
        long left = Math.max(0, entry.due() - System.currentTimeMillis());

        return "{\"MessageData\":" + quote(entry.data())
            + ",\"DelayTime\":" + left / 1000.0 + "}";
    }

    // ------------------------------------------------------------- consumer

    static void consume(String url, String key) throws InterruptedException {
        forever(url, key, socket -> {
            for (String text; (text = next(socket)) != null; ) {
                if (text.startsWith("{")) {     // else somebody else has it
                    System.out.println("got " + member(text, "MessageData"));
                    send(socket, member(text, "MessageCode"));
                }
            }
            return false;
        });
    }

    // ------------------------- JSON, for which others have Jackson, Gson, ...

    static String quote(String text) {
        StringBuilder out = new StringBuilder("\"");

        for (char c : text.toCharArray()) {
            if (c < ' ' || c == '"' || c == '\\') {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        return out.append('"').toString();
    }

    static String member(String json, String name) {
        Matcher member = Pattern.compile("\"" + name
            + "\":\"((?:[^\"\\\\]|\\\\.)*+)\"").matcher(json);
        if (!member.find()) {
            return "";
        }
        return Pattern.compile("\\\\(?:u(\\p{XDigit}{4})|(.))")
            .matcher(member.group(1)).replaceAll(match -> {
                String plain = match.group(1) != null
                    ? "" + (char) Integer.parseInt(match.group(1), 16)
                    : switch (match.group(2)) {
                        case "n" -> "\n";
                        case "t" -> "\t";
                        case "r" -> "\r";
                        case "b" -> "\b";
                        case "f" -> "\f";
                        default -> match.group(2);
                    };
                return Matcher.quoteReplacement(plain);
            });
    }

    public static void main(String[] arguments) throws Exception {
        String key = arguments[2];
        String topic = arguments[3];

        if (arguments[0].equals("produce")) {
            delay = arguments.length > 4
                ? (long) (Double.parseDouble(arguments[4]) * 1000) : 0;
            produce(address(arguments[1], "Producers", topic), key);
        } else {
            consume(address(arguments[1], "Consumers", topic) + "?confirm=ack",
                    key);
        }
    }
}
