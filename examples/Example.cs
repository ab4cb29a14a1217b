// Example.exe produce ws://127.0.0.1:8011 KEY TOPIC [DELAY]
//     each line of the standard input is a message, delayed by DELAY seconds
// Example.exe consume ws://127.0.0.1:8011 KEY TOPIC
//
// With System.Net.WebSockets, as .NET and Mono have it. On Debian:
// apt-get install mono-mcs mono-runtime; mcs Example.cs; mono Example.exe ...

using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.IO;
using System.Net.WebSockets;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;

static class Example
{
    /// A message that has no answer yet.
    class Entry
    {
        public string Data;
        public DateTime Due;
    }

    static readonly Random random = new Random();
    static readonly Queue<Entry> unanswered = new Queue<Entry>();

    /// Connects again when a connection has ended: after half a second, and
    /// twice as long each time, up to half a minute. serve returns true when no
    /// other one is needed.
    static async Task Forever(string url, string key,
                              Func<ClientWebSocket, Task<bool>> serve)
    {
        double pause = 0.5;

        for (;;) {
            using (var socket = new ClientWebSocket()) {
                try {
                    socket.Options.SetRequestHeader("secretKey", key);
                    await socket.ConnectAsync(new Uri(url),
                                              CancellationToken.None);
                    // Secret key matching succeeded
                    if (await Receive(socket) != null) {
                        pause = 0.5;
                        if (await serve(socket)) {
                            return;
                        }
                    }
                } catch (Exception error) {
                    // which it is depends on where the connection breaks
                    Console.Error.WriteLine(error.Message);
                }
            }
            await Task.Delay(TimeSpan.FromSeconds(
                pause * (0.5 + random.NextDouble() / 2)));
            pause = Math.Min(30, 2 * pause);
        }
    }

    /// A text, which comes in parts; null when the connection has ended.
    static async Task<string> Receive(ClientWebSocket socket)
    {
        var parts = new MemoryStream();
        var buffer = new ArraySegment<byte>(new byte[16384]);

        for (;;) {
            var part = await socket.ReceiveAsync(buffer, CancellationToken.None);
            if (part.MessageType == WebSocketMessageType.Close) {
                Console.Error.WriteLine(part.CloseStatusDescription);
                return null;
            }
            parts.Write(buffer.Array, 0, part.Count);
            if (part.EndOfMessage) {
                return Encoding.UTF8.GetString(parts.ToArray());
            }
        }
    }

    static Task Send(ClientWebSocket socket, string text)
    {
        return socket.SendAsync(
            new ArraySegment<byte>(Encoding.UTF8.GetBytes(text)),
            WebSocketMessageType.Text, true, CancellationToken.None);
    }

    static Task SendEntry(ClientWebSocket socket, Entry entry)
    {
        double delay = Math.Max(0, (entry.Due - DateTime.UtcNow).TotalSeconds);

        return Send(socket, "{\"MessageData\":" + Quote(entry.Data)
                            + ",\"DelayTime\":" + delay.ToString(
                                "0.###",
                                System.Globalization.CultureInfo.InvariantCulture)
                            + "}");
    }

    static async Task Produce(string url, string key, double delay)
    {
        Task<string> line = Task.Run(() => Console.In.ReadLine());

        await Forever(url, key, async socket => {
            foreach (var entry in unanswered) {
                await SendEntry(socket, entry);
            }
            var answer = Receive(socket);
            while (line != null || unanswered.Count > 0) {
                if (line == null || await Task.WhenAny(answer, line) == answer) {
                    var text = await answer;
                    if (text == null) {
                        return false;       // what has no answer stays
                    }
                    var entry = unanswered.Dequeue();
                    if (text == "ok") {
                        Console.WriteLine("stored " + entry.Data);
                    } else {
                        Console.Error.WriteLine(text);
                    }
                    answer = Receive(socket);
                } else if (line.Result == null) {
                    line = null;
                } else {
                    var entry = new Entry {
                        Data = line.Result,
                        Due = DateTime.UtcNow.AddSeconds(delay),
                    };
                    unanswered.Enqueue(entry);
                    line = Task.Run(() => Console.In.ReadLine());
                    await SendEntry(socket, entry);
                }
            }
            return true;
        });
    }

    static Task Consume(string url, string key)
    {
        return Forever(url, key, async socket => {
            for (string text; (text = await Receive(socket)) != null; ) {
                if (text.StartsWith("{")) {     // else somebody else has it
                    Console.WriteLine("got " + Member(text, "MessageData"));
                    await Send(socket, Member(text, "MessageCode"));
                }
            }
            return false;
        });
    }

    // JSON, for which .NET has System.Text.Json, which Mono has not.

    static string Quote(string text)
    {
        return '"' + Regex.Replace(text, "[\0-\x1f\"\\\\]",
            match => "\\u" + ((int) match.Value[0]).ToString("x4")) + '"';
    }

    static string Member(string json, string name)
    {
        var member = Regex.Match(json, "\"" + name
                                 + "\":\"((?:[^\"\\\\]|\\\\.)*)\"");

        return Regex.Replace(member.Groups[1].Value,
            @"\\(?:u([0-9a-fA-F]{4})|(.))", match => {
                if (match.Groups[1].Success) {
                    return ((char) Convert.ToInt32(match.Groups[1].Value, 16))
                        .ToString();
                }
                int n = "ntrbf".IndexOf(match.Groups[2].Value);
                return n < 0 ? match.Groups[2].Value
                             : "\n\t\r\b\f"[n].ToString();
            });
    }

    static void Main(string[] arguments)
    {
        string topic = Uri.EscapeDataString(arguments[3]);

        Console.SetOut(new StreamWriter(Console.OpenStandardOutput(),
                                        new UTF8Encoding(false)) {
            AutoFlush = true,
        });
        if (arguments[0] == "produce") {
            double delay = arguments.Length > 4
                ? double.Parse(arguments[4],
                      System.Globalization.CultureInfo.InvariantCulture) : 0;
            Produce(arguments[1] + "/Producers/Conn/" + topic + "/example",
                    arguments[2], delay).Wait();
        } else {
            Consume(arguments[1] + "/Consumers/Conn/" + topic
                    + "/example?confirm=ack", arguments[2]).Wait();
        }
    }
}
