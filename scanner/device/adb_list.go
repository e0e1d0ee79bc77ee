package device

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// maxPhones bounds the list of phones in an error.
const maxPhones = 64

// adbPhone is a phone as the server lists it.
type adbPhone struct {
	serial, state, model string
}

// check makes sure that the server is one and that the phone can be talked to.
func (s *adbServer) check(ctx context.Context, serial string) error {
	version, err := s.ask(ctx, "host:version")
	if err != nil {
		return err
	}
	if _, err := strconv.ParseUint(version, 16, 16); err != nil {
		return fmt.Errorf("adb: the server says that its version is %.40q, which is no number: is it an adb server?", version)
	}
	text, err := s.ask(ctx, "host:devices-l")
	if err != nil {
		return err
	}
	phones := parseADBDevices(text)
	if serial == "" {
		return chooseOne(phones)
	}
	for _, p := range phones {
		if p.serial == serial {
			return p.usable()
		}
	}
	if strings.ContainsAny(serial, " \t\r\n") {
		return fmt.Errorf("adb: %q is no serial number", serial)
	}
	return &HintError{fmt.Errorf("adb: no phone with serial number %s; %s", serial, listPhones(phones)), connectHint}
}

const connectHint = "connect the phone by USB, unlock it, and turn on USB debugging in its developer options; 'adb devices -l' lists what is connected"

// chooseOne says which phones there are: which to read is for a person to say.
func chooseOne(phones []adbPhone) error {
	if len(phones) == 0 {
		return &HintError{fmt.Errorf("adb: %s", listPhones(phones)), connectHint}
	}
	return &HintError{fmt.Errorf("adb: which phone? %s", listPhones(phones)), "name one by its serial number: --image " + ADBPrefix + phones[0].serial}
}

func listPhones(phones []adbPhone) string {
	if len(phones) == 0 {
		return "no phone is connected"
	}
	var b strings.Builder
	b.WriteString("connected:")
	for i, p := range phones {
		if i == maxPhones {
			fmt.Fprintf(&b, "\n  and %d more", len(phones)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %s  %s", p.serial, p.state)
		if p.model != "" {
			fmt.Fprintf(&b, "  %s", p.model)
		}
	}
	return b.String()
}

// parseADBDevices reads the answer to host:devices-l: a line for each phone, with its serial
// number, its state, which may be of several words, and words like model:Pixel_7.
func parseADBDevices(text string) []adbPhone {
	var list []adbPhone
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		p := adbPhone{serial: printable(words[0]), state: printable(words[1])}
		if words[1] == "no" { // "no permissions (why); see [where]"
			p.state = "no permissions"
		}
		for _, w := range words[2:] {
			if model, ok := strings.CutPrefix(w, "model:"); ok {
				p.model = printable(model)
			}
		}
		list = append(list, p)
	}
	return list
}

// printable keeps a terminal safe from what a phone says of itself.
func printable(s string) string { return shown(s, 80) }

// usable says what a person has to do before a phone in this state can be read.
func (p adbPhone) usable() error {
	var hint string
	switch p.state {
	case "device":
		return nil
	case "unauthorized":
		hint = "unlock the phone and accept its question whether to allow USB debugging from this computer"
	case "authorizing", "connecting":
		hint = "wait until the phone has connected, look whether it asks something, and try again"
	case "offline":
		hint = "unplug the phone and connect it again, or turn USB debugging off and on; then 'adb kill-server' and 'adb start-server'"
	case "no permissions":
		hint = "this computer does not let you use the USB device: add a udev rule for it, or start the adb server as root"
	case "recovery", "rescue", "sideload", "bootloader":
		hint = "start Android on the phone: in this state its apps and services do not run"
	default:
		hint = "'adb devices -l' shows when the state becomes 'device'"
	}
	return &HintError{fmt.Errorf("adb: phone %s is in state %q and cannot be read", p.serial, p.state), hint}
}
