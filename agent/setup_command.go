package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"picket/scanner/report"
)

// setupWish is what somebody wants of setup: from the file, with the flags over it. What is nil
// or empty is asked for, or has its default.
type setupWish struct {
	Enrol   string `yaml:"enrol"`   // document, link, token's file or picture; "no" for none
	Key     string `yaml:"key"`     // as enrol --key
	Service *bool  `yaml:"service"` // install and start it
	Person  string `yaml:"person"`  // login name of who may see the result; "no" for nobody
	Kernel  *bool  `yaml:"kernel"`  // the right to list BPF programs
	Scan    *bool  `yaml:"scan"`
}

func setupCommand() *cobra.Command {
	var (
		wish   setupWish
		config configFlags
		which  serviceFlags
		as     jsonFlags
		file   string
		all    bool
	)
	cmd := &cobra.Command{
		Use: "setup", Short: "Set Picket up on this device, step by step", Args: noArgs,
		Long: `Setup walks through all that Picket can be given on this device: the organisation it belongs to,
staying on as a service, who may see the result, rights that are missing, and the first scan. It
asks for one thing at a time, says what each is good for and what it means to say no, in English or
Dutch, in plain lines of text. Run it again at any time: what is done is said to be done, and only
what is missing is asked for.

Without questions, --yes gives every answer that Enter would, --file the answers of a YAML file:

    enrol: device.json     # a document, https link, file with a token, or picture with a QR code; no
    key: file              # or tpm, tpm:DEVICE, unix:SOCKET
    service: yes
    person: alice          # may see the result without being root; no
    kernel: no             # list the kernel's BPF programs, which weakens the service's sandbox
    scan: yes

Exit status: 0 set up as wished, 1 error (what was done stays done), 4 the enrolment was refused, 64 usage.`,
		Example: `  sudo picket setup
  sudo picket setup --enrol invitation.png
  sudo picket setup --file setup.yaml --yes --json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := as.wantJSON()
			if err != nil {
				return err
			}
			if file != "" {
				if wish, err = readWish(file, wish); err != nil {
					return err
				}
			}
			quiet := all || file != "" || asJSON
			if !quiet && !onTerminal(cmd.InOrStdin()) {
				return &usageError{&hinted{errors.New("there is no terminal to ask on"), "give the answers by --file, or take those that Enter would give by --yes"}}
			}
			words, err := wordsIn(language(os.Getenv))
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if asJSON {
				out = io.Discard
			}
			s := &setup{asker: asker{in: cmd.InOrStdin(), out: out, words: words, quiet: quiet}, config: &config, init: which.init, wish: wish, log: cmd.ErrOrStderr(), env: HostEnv(config.set)}
			result, err := s.run(cmd.Context())
			if asJSON {
				return errors.Join(writeJSON(cmd.OutOrStdout(), result), err)
			}
			return err
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&file, "file", "", "YAML `FILE` with the answers; nothing is asked")
	fl.BoolVarP(&all, "yes", "y", false, "ask nothing: take the answers that Enter would give")
	fl.StringVar(&wish.Enrol, "enrol", "", "enrolment `DOCUMENT`: file, https link, file with a token, picture with a QR code; no: none")
	fl.StringVar(&wish.Key, "key", "", "where the private key is: `file, tpm, tpm:DEVICE or unix:SOCKET`")
	fl.StringVar(&wish.Person, "person", "", "`LOGIN` of who may see the result without being root; no: nobody")
	fl.Var(wishFlag{&wish.Service}, "service", "install and start the service: `yes or no`")
	fl.Var(wishFlag{&wish.Kernel}, "kernel", "the right to list the kernel's BPF programs: `yes or no`")
	fl.Var(wishFlag{&wish.Scan}, "scan", "make the first scan: `yes or no`")
	which.add(cmd)
	config.add(cmd)
	as.add(cmd)
	return cmd
}

// wishFlag is a yes or no that may be left unsaid.
type wishFlag struct{ to **bool }

func (wishFlag) String() string { return "" }
func (wishFlag) Type() string   { return "answer" }

// Set reads an answer as the file has it.
func (f wishFlag) Set(text string) error {
	v := text == "yes"
	if !v && text != "no" {
		return errors.New("it is neither yes nor no")
	}
	*f.to = &v
	return nil
}

// readWish reads the answers of a file; given, those of the flags, win over them.
func readWish(name string, given setupWish) (setupWish, error) {
	b, err := readSmall(name)
	if errors.Is(err, fs.ErrNotExist) {
		return given, usagef("--file: there is no %s", name)
	}
	if err != nil {
		return given, fmt.Errorf("reading the answers: %w", err)
	}
	var w setupWish
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(&w); err != nil && !errors.Is(err, io.EOF) {
		return given, usagef("%s: %s", name, report.Clean(strings.TrimPrefix(err.Error(), "yaml: ")))
	}
	if given.Enrol != "" {
		w.Enrol = given.Enrol
	}
	if given.Key != "" {
		w.Key = given.Key
	}
	if given.Person != "" {
		w.Person = given.Person
	}
	for _, p := range []struct{ to, from **bool }{{&w.Service, &given.Service}, {&w.Kernel, &given.Kernel}, {&w.Scan, &given.Scan}} {
		if *p.from != nil {
			*p.to = *p.from
		}
	}
	return w, nil
}
