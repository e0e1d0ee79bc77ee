package parse

import (
	"strconv"
	"strings"
)

// LogBuffer is what is kept of one part of logcat's output: how much it holds and how far it goes
// back. Messages are dropped. Logcat names a buffer where its first message comes and then mixes
// the buffers by time, so a part may hold messages of buffers that were named before it.
type LogBuffer struct {
	Name        string // main, system, crash, events, radio; empty before the first heading
	Lines       int    // messages
	Other       int    // lines of another form
	First, Last string // MM-DD hh:mm:ss.mmm of the first and the last message, device's wall clock; no year
	Fatal       int    // messages of priority F
	Failures    []LogFailure
	Line        int // 1-based, of its heading
}

// LogFailure is a message of priority F ("what a terrible failure", native aborts): who and when.
type LogFailure struct {
	Time string // as LogBuffer.First
	UID  int    // -1 when not printed
	PID  int
	Tag  string
	Line int
}

const (
	maxLogBuffers  = 64
	maxLogFailures = 256 // per buffer
)

// Logcat reads the output of logcat -v threadtime, with or without -v uid, -v year and -v zone,
// of Android 4 to 16. It reads line by line and keeps no message.
func Logcat(b []byte) (buffers []LogBuffer) {
	var at *LogBuffer
	begin := func(name string, n int) {
		for i := range buffers { // "switch to main" goes back to one
			if buffers[i].Name == name {
				at = &buffers[i]
				return
			}
		}
		if len(buffers) < maxLogBuffers {
			buffers = append(buffers, LogBuffer{Name: name, Line: n})
			at = &buffers[len(buffers)-1]
		}
	}
	n := 0
	eachLine(b, func(text []byte, line int) bool {
		n = line
		s := strings.TrimRight(string(text[:min(len(text), 160)]), "\r")
		if rest, ok := strings.CutPrefix(s, "--------- "); ok && !belowSection(s) {
			name := rest[strings.LastIndexByte(rest, ' ')+1:]
			name = name[strings.LastIndexByte(name, '/')+1:] // Android 4: beginning of /dev/log/main
			begin(clip(name, 20), n)
			return true
		}
		if strings.TrimSpace(s) == "" || belowSection(s) {
			return true
		}
		if at == nil {
			begin("", n)
		}
		m, when, ok := logHead(s)
		if !ok {
			at.Other++
			return true
		}
		at.Lines++
		if at.First == "" {
			at.First = when
		}
		at.Last = when
		if m != nil {
			at.Fatal++
			if len(at.Failures) < maxLogFailures {
				m.Line = n
				at.Failures = append(at.Failures, *m)
			}
		}
		return true
	})
	return buffers
}

// logHead reads "01-02 03:04:05.678 [zone] [uid] pid tid P tag: message". fatal is set for
// priority F.
func logHead(s string) (fatal *LogFailure, when string, ok bool) {
	date, rest := cutField(s)
	if len(date) == len("2006-01-02") && date[4] == '-' {
		date = date[5:]
	}
	clock, rest := cutField(rest)
	if len(date) != 5 || date[2] != '-' || len(clock) < 8 || clock[2] != ':' || clock[5] != ':' {
		return nil, "", false
	}
	when = date + " " + clip(clock, 16)
	var before []string // of the priority
	for len(before) < 5 {
		var word string
		if word, rest = cutField(strings.TrimLeft(rest, " ")); word == "" {
			return nil, "", false
		}
		if len(word) == 1 && strings.Contains("VDIWEFS", word) && len(before) >= 2 {
			if word != "F" {
				return nil, when, true
			}
			tag, _, _ := strings.Cut(strings.TrimLeft(rest, " "), ":")
			f := &LogFailure{Time: when, UID: -1, Tag: clip(strings.TrimSpace(tag), 64)}
			f.PID, _ = strconv.Atoi(before[len(before)-2])
			if len(before) >= 3 {
				name := before[len(before)-3]
				if uid, ok := AndroidUID(name); ok {
					f.UID = uid
				} else if uid, ok := psUID(name); ok {
					f.UID = uid
				}
			}
			return f, when, true
		}
		before = append(before, word)
	}
	return nil, "", false
}
