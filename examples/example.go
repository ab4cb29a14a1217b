// go run example.go produce ws://127.0.0.1:8011 KEY TOPIC [DELAY]
//
//	each line of the standard input is a message, delayed by DELAY seconds
//
// go run example.go consume ws://127.0.0.1:8011 KEY TOPIC
//
// With github.com/gorilla/websocket; on Debian without modules:
// apt-get install golang-go golang-github-gorilla-websocket-dev, and
// GO111MODULE=off GOPATH=/usr/share/gocode go run ...
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"math/rand"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

type message struct {
	MessageCode string `json:",omitempty"`
	MessageData string
	DelayTime   float64
}

// forever connects, serves and connects again, until serve returns true: after
// half a second, and twice as long each time, up to half a minute.
func forever(url, key string, serve func(*websocket.Conn) bool) {
	header := http.Header{"secretKey": {key}}
	pause := 500 * time.Millisecond

	for {
		conn, response, err := websocket.DefaultDialer.Dial(url, header)
		if err == nil {
			_, _, err = conn.ReadMessage() // Secret key matching succeeded
			if err == nil {
				pause = 500 * time.Millisecond
				done := serve(conn)
				conn.Close()
				if done {
					return
				}
			}
		} else if response != nil && response.StatusCode == 401 {
			log.Fatal("wrong secret key")
		}
		time.Sleep(pause/2 + time.Duration(rand.Int63n(int64(pause/2))))
		if pause *= 2; pause > 30*time.Second {
			pause = 30 * time.Second
		}
	}
}

// texts reads all that comes, and is closed when the connection is.
func texts(conn *websocket.Conn) <-chan []byte {
	out := make(chan []byte)

	go func() {
		defer close(out)
		for {
			_, text, err := conn.ReadMessage()
			if err != nil {
				log.Print(err)
				return
			}
			out <- text
		}
	}()
	return out
}

type entry struct {
	data string
	due  time.Time
}

func (e entry) frame() []byte {
	delay := time.Until(e.due).Seconds()
	if delay < 0 {
		delay = 0
	}
	text, _ := json.Marshal(message{MessageData: e.data, DelayTime: delay})
	return text
}

func produce(base, key, topic string, delay time.Duration) {
	lines := make(chan string)
	var unanswered []entry // is sent again on the next connection

	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			lines <- in.Text()
		}
		close(lines)
	}()

	forever(base+"/Producers/Conn/"+url.PathEscape(topic)+"/example", key,
		func(conn *websocket.Conn) bool {
			for _, e := range unanswered {
				conn.WriteMessage(websocket.TextMessage, e.frame())
			}
			answers := texts(conn)
			for lines != nil || len(unanswered) > 0 {
				select {
				case line, more := <-lines:
					if !more {
						lines = nil
						continue
					}
					e := entry{line, time.Now().Add(delay)}
					unanswered = append(unanswered, e)
					conn.WriteMessage(websocket.TextMessage, e.frame())
				case answer, more := <-answers:
					if !more {
						return false
					}
					if string(answer) == "ok" {
						fmt.Println("stored", unanswered[0].data)
					} else {
						log.Print(string(answer))
					}
					unanswered = unanswered[1:]
				}
			}
			return true
		})
}

func consume(base, key, topic string) {
	forever(base+"/Consumers/Conn/"+url.PathEscape(topic)+"/example?confirm=ack",
		key, func(conn *websocket.Conn) bool {
			for {
				_, text, err := conn.ReadMessage()
				if err != nil {
					log.Print(err)
					return false
				}
				var m message
				if strings.HasPrefix(string(text), "error:") ||
					json.Unmarshal(text, &m) != nil {
					continue // somebody else has it by now
				}
				fmt.Println("got", m.MessageData) // the work
				conn.WriteMessage(websocket.TextMessage, []byte(m.MessageCode))
			}
		})
}

func main() {
	what, base, key, topic := os.Args[1], os.Args[2], os.Args[3], os.Args[4]

	rand.Seed(time.Now().UnixNano())
	if what == "produce" {
		seconds := 0.0
		if len(os.Args) > 5 {
			seconds, _ = strconv.ParseFloat(os.Args[5], 64)
		}
		produce(base, key, topic, time.Duration(seconds*float64(time.Second)))
	} else {
		consume(base, key, topic)
	}
}
