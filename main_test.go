package main

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"picket/agent"
	"picket/transport/stepca/fakeca"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"picket": func() { os.Exit(agent.Main(os.Args, os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs the commands as a person would; testdata/script holds one story a file. They
// have a certificate authority at $CA_URL, and `token FILE DEVICE NAME...` gets one of its tokens.
func TestScripts(t *testing.T) {
	t.Parallel()
	ca := fakeca.New(t, time.Now)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else each command under the race detector sleeps for a second at its end
			env.Setenv("CA_URL", ca.URL)
			env.Setenv("CA_FINGERPRINT", ca.Fingerprint)
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name != "root" {
				return false, fmt.Errorf("there is no condition %q", name)
			}
			return os.Geteuid() == 0, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"token": func(ts *testscript.TestScript, _ bool, args []string) {
				if len(args) < 3 {
					ts.Fatalf("usage: token FILE DEVICE NAME...")
				}
				ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(ca.Token(args[1], args[2:], nil)+"\n"), 0o600))
			},
		},
	})
}
