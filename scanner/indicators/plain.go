package indicators

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	"picket/scanner"
)

// loadCSV adds a list with a header line, in either form that Echap generates: samples (SHA256,
// Package Name, Certificate, Version, App), of which the digest alone is used because package and
// certificate of a sample may be borrowed, and network (type, indicator, app).
func loadCSV(b *builder, list *List, number uint16, src []byte) error {
	class, err := classHeader(src)
	if err != nil {
		return err
	}
	r := csv.NewReader(bytes.NewReader(src))
	r.FieldsPerRecord, r.ReuseRecord, r.Comment, r.LazyQuotes = -1, true, '#', true
	head, err := r.Read()
	if err != nil {
		return errOtherFormat
	}
	column := map[string]int{}
	for i, name := range head {
		column[strings.ToLower(strings.TrimSpace(name))] = i
	}
	value, app, typed := column["sha256"], column["app"], -1
	_, samples := column["sha256"]
	if !samples {
		var isNetwork, hasType bool
		value, isNetwork = column["indicator"]
		if typed, hasType = column["type"]; !isNetwork || !hasType {
			return errOtherFormat
		}
	}
	if _, ok := column["app"]; !ok {
		return errOtherFormat
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		line, _ := r.FieldPos(0)
		if b.full() {
			return fmt.Errorf("line %d: %w", line, errTooMuch)
		}
		list.Indicators++
		if len(row) <= max(value, app, typed) {
			list.trouble(Note{Line: line, What: NotUnderstood, Why: "a row of too few columns"})
			continue
		}
		kind := scanner.IndicatorFileHash
		if typed >= 0 {
			if kind = csvKind(row[typed]); kind == "" {
				list.trouble(Note{ID: row[app], Line: line, Value: row[value], What: NotUnderstood, Why: "unknown type " + clip(row[typed], 40)})
				continue
			}
		}
		if err := b.add(kind, row[value], entry{list: number, label: b.label(strings.TrimSpace(row[app]), class)}); err != nil {
			list.trouble(Note{ID: row[app], Line: line, Value: row[value], What: troubleOf(err), Why: err.Error()})
		}
	}
}

// csvKind gives the kind that a network list calls by this type.
func csvKind(t string) scanner.IndicatorKind {
	switch strings.ToLower(strings.TrimSpace(t)) {
	case "domain":
		return scanner.IndicatorDomain
	case "ip", "ipv4", "ipv6":
		return scanner.IndicatorIP
	}
	return ""
}

// loadHosts adds a list of host names, one a line, or in the form of hosts(5), where an address to
// block with comes first. The first line decides whether a file is such a list.
func loadHosts(b *builder, list *List, number uint16, src []byte) error {
	class, err := classHeader(src)
	if err != nil {
		return err
	}
	e := entry{list: number, label: b.label("", class)}
	line := 0
	for text := range bytes.Lines(src) {
		line++
		text, _, _ := bytes.Cut(text, []byte("#"))
		hosts := strings.Fields(clip(string(text), maxValue))
		switch {
		case len(hosts) > 1 && blocks(hosts[0]):
			hosts = hosts[1:]
		case list.Indicators == 0 && len(hosts) > 0 && (len(hosts) > 1 || !strings.Contains(hosts[0], ".")):
			return errOtherFormat
		}
		for _, h := range hosts {
			if b.full() {
				return fmt.Errorf("line %d: %w", line, errTooMuch)
			}
			list.Indicators++
			err := b.add(scanner.IndicatorDomain, h, e)
			if err != nil && list.Indicators == 1 && !errors.Is(err, errBroad) {
				return errOtherFormat
			}
			if err != nil {
				list.trouble(Note{Line: line, Value: h, What: troubleOf(err), Why: err.Error()})
			}
		}
	}
	if list.Indicators == 0 {
		return errOtherFormat
	}
	return nil
}

// blocks tells the addresses that hosts files send what they block to.
func blocks(s string) bool {
	return s == "0.0.0.0" || s == "127.0.0.1" || s == "::" || s == "::1"
}
