package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"picket/agent"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"picket": func() { os.Exit(agent.Main(os.Args, os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs the commands as a person would; testdata/script holds one story a file.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}
