package agent

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// shownCommand finds commands in a page: in code blocks and in backticks.
var shownCommand = regexp.MustCompile("(?m)(?:^ {4}(?:.*[|&] )?(?:\\$ )?|`)(?:sudo )?picket ([^`\n]*)")

// commandsOn is how many commands are at least on pages that are about little else.
var commandsOn = map[string]int{"for-people.md": 12, "voor-mensen.md": 12, "install.md": 12, "README.md": 12}

// argsOf gives the arguments of a command as it is shown: up to what the shell takes for itself, a remark, or what
// it prints.
func argsOf(shown string) []string {
	shown = regexp.MustCompile(`"[^"]*"|'[^']*'`).ReplaceAllString(shown, "TEXT")
	if at := regexp.MustCompile(`   | #| [|&<>;]| \d>|;|\)`).FindStringIndex(shown); at != nil {
		shown = shown[:at[0]]
	}
	return strings.Fields(shown)
}

// parses says why the command line does not take these arguments.
func parses(args []string) error {
	cmd, rest, err := newRoot().Find(args)
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); err != nil || len(args) == 1 {
		return err // a command that is only named
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

// TestCommandsAreThere: every command that a page shows is taken by the command line as it is shown, and every
// command shows how it is used.
func TestCommandsAreThere(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, page := range append(pages, "../README.md") {
		on := shownCommand.FindAllStringSubmatch(read(t, page), -1)
		if least := commandsOn[filepath.Base(page)]; len(on) < least {
			t.Errorf("%s: %d commands were found, not %d", page, len(on), least)
		}
		shown += len(on)
		for _, m := range on {
			if err := parses(argsOf(m[1])); err != nil {
				t.Errorf("%s: picket %s: %v", page, m[1], err)
			}
		}
	}
	var walk func(*cobra.Command)
	walk = func(parent *cobra.Command) {
		for _, cmd := range parent.Commands() {
			examples := regexp.MustCompile(`(?m)^  (?:.*[|&] )?(?:sudo )?picket (.*)$`).FindAllStringSubmatch(cmd.Example, -1)
			if len(examples) == 0 && cmd.Name() != "help" {
				t.Errorf("%s shows no example", cmd.CommandPath())
			}
			for _, m := range examples {
				shown++
				if err := parses(argsOf(m[1])); err != nil {
					t.Errorf("%s: example picket %s: %v", cmd.CommandPath(), m[1], err)
				}
			}
			walk(cmd)
		}
	}
	walk(newRoot())
	if shown < 200 {
		t.Errorf("%d commands were found", shown)
	}
}

// TestExitCodesAreTold: the page and the manual name each of them.
func TestExitCodesAreTold(t *testing.T) {
	page, err := os.ReadFile("../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	var manual bytes.Buffer
	m := manPage{w: &manual}
	m.page(newRoot())
	_, status, _ := strings.Cut(manual.String(), ".SH EXIT STATUS\n")
	for _, code := range []int{exitDone, exitError, exitFailOn, exitNotRunning, exitRefused, exitBlocked, exitUsage} {
		if !strings.Contains(string(page), fmt.Sprintf("\n| %d | ", code)) {
			t.Errorf("install.md says nothing of %d", code)
		}
		if !strings.Contains(status, fmt.Sprintf(".TP\n%d\n", code)) {
			t.Errorf("the manual says nothing of %d", code)
		}
	}
}
