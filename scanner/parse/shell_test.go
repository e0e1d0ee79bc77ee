package parse

import (
	"reflect"
	"strings"
	"testing"
)

func TestShellGivesCommandsAtCommandPosition(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		src  string
		want []string // pipelines: programs joined with |
	}{
		{"a b; c && d || e &", []string{"a", "c", "d", "e"}},
		{"a | b |& c", []string{"a|b|c"}},
		{"a |\n b", []string{"a|b"}},
		{"if a; then b; elif c; then d; else e; fi", []string{"a", "b", "c", "d", "e"}},
		{"for x in a b c; do d; done | e", []string{"d", "e"}},
		{"case $x in (a|b) c;; *) d ;& e) f;; esac; g", []string{"c", "d", "f", "g"}},
		{"case \"$1\" in\n  start)\n    a\n    ;;\n  *)\n    b\nesac", []string{"a", "b"}},
		{"f() { a; }\nfunction g { b; }", []string{"f()", "a", "g()", "b"}},
		{"(a; b) | c", []string{"a", "b", "c"}},
		{"x=1 y=$(a) b", []string{"b"}},
		{"a <<E | b\nc\nE\nd", []string{"a|b", "d"}},
		{"a <<-'E'\n\tc\n\tE\nd", []string{"a", "d"}},
		{"a 2>&1 >/dev/null <x", []string{"a"}},
		{"'a b' \"c\"", []string{"a b"}},
		{"a \\\n b # c\nd", []string{"a", "d"}},
		{"[[ a && b ]] && c", []string{"[[", "c"}},
		{"((i++)); a", []string{"a"}},
		{"! a; { b; }", []string{"a", "b"}},
		{"a#b; c $#", []string{"a#b", "c"}},
		{"x=(a b); c", []string{"", "c"}},
	} {
		var got []string
		for _, p := range Shell(c.src) {
			var names []string
			for i := range p.Commands {
				if f := p.Commands[i].Function; f != "" {
					names = append(names, f+"()")
					continue
				}
				names = append(names, p.Commands[i].Program())
			}
			got = append(got, strings.Join(names, "|"))
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("Shell(%q) = %q, want %q", c.src, got, c.want)
		}
	}
}

func TestShellKeepsWordsRedirectsAndLines(t *testing.T) {
	t.Parallel()
	ps := Shell("\n# one\nA=1 run \"x y\" z'w' >>/log 2>&1 $(in q)\n")
	if len(ps) != 1 || ps[0].Line != 3 {
		t.Fatalf("got %+v", ps)
	}
	c := ps[0].Commands[0]
	if !reflect.DeepEqual(c.Words, []string{"run", "x y", "zw", "$(in q)"}) || !reflect.DeepEqual(c.Assign, []string{"A=1"}) {
		t.Errorf("words %q, assignments %q", c.Words, c.Assign)
	}
	if want := []ShellRedirect{{">>", "/log"}, {">&", "1"}}; !reflect.DeepEqual(c.Redirects, want) {
		t.Errorf("redirects %v, want %v", c.Redirects, want)
	}
	if len(c.Inner) != 1 || c.Inner[0].Commands[0].Program() != "in" {
		t.Errorf("inner %+v", c.Inner)
	}
	if want := "A=1 run \"x y\" z'w' >>/log 2>&1 $(in q)"; ps[0].Text != want {
		t.Errorf("text %q, want %q", ps[0].Text, want)
	}
}

func TestShellRunsTakesWrappersOff(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		src  string
		want []string // the words of each command started
	}{
		{"sudo -u www env A=1 nice -n 5 prog x", []string{"prog x"}},
		{"exec nohup setsid prog", []string{"prog"}},
		{"timeout -k 5 10 prog", []string{"prog"}},
		{"flock -n /run/l prog", []string{"prog"}},
		{"sh -c 'prog x'", []string{"sh -c prog x", "prog x"}},
		{"su www -c 'prog x'", []string{"su www -c prog x", "prog x"}},
		{"systemd-run --unit x --scope prog y", []string{"prog y"}},
		{"start-stop-daemon -S -x /p -- -a", []string{"/p -a"}},
		{"start-stop-daemon --exec=/p", []string{"/p"}},
		{"command -v prog", []string{"prog"}},
		{"eval \"a b\"", []string{"eval a b", "a b"}},
	} {
		var got []string
		for _, p := range ShellRuns(c.src) {
			for _, cmd := range p.Commands {
				got = append(got, strings.Join(cmd.Words, " "))
			}
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("ShellRuns(%q) = %q, want %q", c.src, got, c.want)
		}
	}
}

func FuzzShell(f *testing.F) {
	for _, s := range []string{"a | b && (c; d) `e` $(f \"$(g)\")", "case x in a) b;; esac", "cat <<EOF\nx\nEOF\n", "f() { :; }",
		"$'\\x41' ${a:-$(b)} $((1+1))", "sh -c 'sh -c \"sh -c x\"'", "[[ a && b ]]", "x=(a b) y", "a <(b) >&2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		lines := 1 + strings.Count(src, "\n")
		for _, p := range Shell(src) {
			if p.Line < 1 || p.Line > lines {
				t.Fatalf("line %d of %d", p.Line, lines)
			}
			if len(p.Commands) == 0 {
				t.Fatal("a pipeline without a command")
			}
			if !strings.Contains(src, "`") && !strings.Contains(src, p.Text) {
				t.Fatalf("text %q is not in the source", p.Text)
			}
		}
		if n := len(ShellRuns(src)); n > maxShellRuns {
			t.Fatalf("%d pipelines", n)
		}
	})
}
