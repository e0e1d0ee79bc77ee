package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"picket/scanner/report"
)

// bundleNote stands in every bundle.
const bundleNote = `This is what Picket gathered for support. Names of people and of the device, addresses of mail and the
names of files in home directories, on disks that were put in and in shared storage were taken out.
What the policy's mode holds back (packages or findings) is not in it. What could not be gathered has a file NAME.error.txt in its place, with why.

report.html opens in a browser. 'picket privacy' says what else is kept on the device.
`

// bundleMade is what --json says.
type bundleMade struct {
	ID        string   `json:"id"`
	File      string   `json:"file"`
	Bytes     int64    `json:"bytes"`
	Encrypted string   `json:"encrypted_to,omitempty"` // the age key; absent: not encrypted
	Parts     []string `json:"parts"`
	Mail      string   `json:"mailto,omitempty"`
	Phone     string   `json:"phone,omitempty"`
}

func bundleCommand() *cobra.Command {
	var (
		ask     apiFlags
		as      jsonFlags
		to      string
		file    string
		plain   bool
		preview bool
	)
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Gather what support needs into one file, encrypted to them",
		Long: `Bundle writes logs, health, the configuration, the last report and versions into one file, without
names of people, addresses and names of personal files, and within what the policy lets the
organisation know. It is encrypted to the support key of the policy, or to --to. Its id is four words
that can be read out. Nothing is uploaded: the file is yours to send.

--preview shows every byte that is inside and writes nothing; with --output the file has what was shown.

Exit status: 0 done, 1 error, 64 usage.`,
		Example: `  sudo picket bundle --preview | less
  sudo picket bundle
  sudo picket bundle --to age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
  sudo picket bundle --plain --output bundle.tar.gz`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := as.wantJSON()
			if err != nil {
				return err
			}
			org := ask.organisation()
			var sealed age.Recipient
			if !preview || file != "" {
				if to, sealed, err = bundleKey(to, org.SupportKey, plain); err != nil {
					return err
				}
			}
			b, err := newBundle()
			if err != nil {
				return err
			}
			ask.gather(cmd, b)
			b.redact(hostRedactor())
			if preview {
				if err := b.preview(cmd.OutOrStdout()); err != nil || file == "" {
					return err
				}
			}
			if file == "" {
				file = b.fileName(sealed != nil)
			}
			if err := writeFile(file, func(w io.Writer) error { return b.seal(w, sealed) }); err != nil {
				return fmt.Errorf("writing the bundle: %w", err)
			}
			made := bundleMade{ID: b.id, File: file, Encrypted: to, Phone: org.Phone, Parts: []string{}}
			for _, p := range b.parts {
				made.Parts = append(made.Parts, p.name)
			}
			if st, err := os.Stat(file); err == nil {
				made.Bytes = st.Size()
			}
			if org.Email != "" {
				made.Mail = b.mailTo(org.Email, file)
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), made)
			}
			return showBundle(cmd.ErrOrStderr(), made)
		},
	}
	ask.add(cmd)
	as.add(cmd)
	cmd.Flags().StringVar(&to, "to", "", "encrypt to this age `KEY` (age1...) in place of the policy's")
	cmd.Flags().StringVarP(&file, "output", "o", "", "write to `FILE` in place of picket-WORDS.tar.gz.age")
	cmd.Flags().BoolVar(&plain, "plain", false, "do not encrypt: whoever has the file can read it")
	cmd.Flags().BoolVar(&preview, "preview", false, "show every byte that is inside")
	return cmd
}

// bundleKey chooses whom the bundle is for.
func bundleKey(to, support string, plain bool) (string, age.Recipient, error) {
	switch {
	case plain && to != "":
		return "", nil, usagef("--plain and --to do not go together")
	case plain:
		return "", nil, nil
	case to == "" && support == "":
		return "", nil, usageHint(errors.New("no policy names a support key"), "name one with --to, or write a file that everybody can read with --plain")
	case to == "":
		to = support
	}
	r, err := age.ParseX25519Recipient(to)
	if err != nil {
		return "", nil, usagef("the key to encrypt to is no age key (age1...): %v", err)
	}
	return to, r, nil
}

// organisation is the policy's, as far as it can be told.
func (f *apiFlags) organisation() PolicyOrganisation {
	c, _, err := f.config.load()
	if err != nil {
		return PolicyOrganisation{}
	}
	crit, _, err := criteriaNow(c)
	if err != nil || crit.policy == nil {
		return PolicyOrganisation{}
	}
	return crit.policy.Organisation
}

// gather puts in all that there is. Nothing that fails keeps the rest from being gathered.
func (f *apiFlags) gather(cmd *cobra.Command, b *bundle) {
	ctx, cancel := context.WithTimeout(cmd.Context(), 5*time.Minute)
	defer cancel()
	mode := sendLevelOnly // what cannot be told holds most back
	inputs, failed := f.privacyInputs(ctx)
	if failed == nil && inputs.unsure == "" {
		mode = inputs.mode
	}
	b.add("README.txt", func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "Bundle %s, made %s by Picket %s, in the mode %s.\n\n%s", b.id, time.Now().UTC().Format(time.RFC3339), version(), mode, bundleNote)
		return err
	})
	b.add("versions.json", func(w io.Writer) error { return writeJSON(w, versionsNow()) })
	b.add("doctor.txt", func(w io.Writer) error { return showChecks(w, f.examine(cmd)) })
	b.add("status.json", func(w io.Writer) error {
		var s Status
		if err := f.call(ctx, apiRequest{Op: "status"}, nil, &s); err != nil {
			return err
		}
		s.Enrolment.Account = ""
		return writeJSON(w, s)
	})
	b.add("config.json", func(w io.Writer) error {
		c, from, err := f.config.load()
		if err != nil {
			return err
		}
		return writeJSON(w, describeConfig(c, from))
	})
	b.add("log.txt", func(w io.Writer) error { return gatherLog(ctx, w) })
	r, err := f.lastReport(ctx, cmd, mode)
	whole := func(w io.Writer) error { return err }
	if err == nil {
		whole = func(w io.Writer) error { return report.JSON(w, r) }
	}
	b.add("report.json", whole)
	if err == nil {
		b.add("report.html", func(w io.Writer) error { return report.HTML(w, r) })
	}
}

func showBundle(w io.Writer, m bundleMade) error {
	out := &sheet{w: w}
	out.line("bundle %s: %s, %d bytes, %d files", strings.ReplaceAll(m.ID, "-", " "), report.Clean(m.File), m.Bytes, len(m.Parts))
	if m.Encrypted != "" {
		out.line("encrypted to %s: nobody else can read it, not even you", report.Clean(m.Encrypted))
	} else {
		out.line("not encrypted: whoever has the file can read it")
	}
	out.line("nothing was uploaded. Send the file to support, and tell them its four words.")
	if m.Mail != "" {
		out.line("by mail, with the file attached: %s", report.Clean(m.Mail))
	}
	if m.Phone != "" {
		out.line("by phone: %s", report.Clean(m.Phone))
	}
	return out.err
}
