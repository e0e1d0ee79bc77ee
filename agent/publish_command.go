package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"picket/scanner/report"
	"picket/transport/tuf"
)

func publishCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "publish",
		Short: "Make and sign a repository of rules, indicators and policy for devices",
		Long: `Publish makes a folder that any static web server or a stick can serve, and that devices trust
because of its signatures, not because of who serves it (docs/updates.md).

There are three kinds of keys. Those of the root say which keys count; those of the targets sign
what is published; both are kept offline, and several people may have to sign. The online key
signs snapshot and timestamp, which say what is newest; it may be on the server.`,
		Example: `  picket publish keygen alice.key
  picket publish root REPO --root-key alice.key.pub --targets-key alice.key.pub --online-key server.key.pub
  picket publish pack REPO --from fleet/
  picket publish sign REPO/staged/targets.json --key alice.key
  picket publish refresh REPO --key server.key`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(publishKeygenCommand(), publishRootCommand(), publishPackCommand(), publishSignCommand(), publishRefreshCommand(), publishStatusCommand())
	return cmd
}

func repositoryAt(dir string) *tuf.Repository { return &tuf.Repository{Dir: dir, Now: time.Now} }

func publishKeygenCommand() *cobra.Command {
	return &cobra.Command{
		Use: "keygen FILE", Short: "Make a key that signs: FILE, and FILE.pub to hand out", Args: oneArg("the file of the new key"),
		Long: `Keygen makes an Ed25519 key. FILE has mode 0600 and is not encrypted: keep it on an encrypted
disk or stick, or encrypt it with a program such as age and hand it to 'sign' by a pipe:

  age -d alice.key.age | picket publish sign REPO/staged/root.json --key -

A file that is there is never replaced.`,
		Example: "  picket publish keygen alice.key",
		RunE: func(cmd *cobra.Command, args []string) error {
			private, public, err := tuf.NewKey()
			if err != nil {
				return fmt.Errorf("making a key: %w", err)
			}
			if err := createFile(args[0], private, 0o600); err != nil {
				return fmt.Errorf("writing the key: %w", err)
			}
			if err := createFile(args[0]+".pub", public, 0o644); err != nil { // half a pair is none
				return errors.Join(fmt.Errorf("writing the key: %w", err), os.Remove(args[0]))
			}
			key, err := tuf.ParsePublicKey(public)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "key %s\nprivate: %s (keep it offline)\npublic:  %s.pub\n", key.ID(), args[0], args[0])
			return err
		},
	}
}

// createFile writes a file that must not be there yet, whole or not at all.
func createFile(name string, b []byte, mode os.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}

func publishRootCommand() *cobra.Command {
	var (
		root, targets, online []string
		ch                    tuf.RootChange
		lasts                 string
		with                  signFlags
	)
	cmd := &cobra.Command{
		Use: "root REPO", Short: "Make the first root, or the next one with other keys", Args: oneArg("the folder of the repository"),
		Long: `Root makes REPO/staged/root.json: which keys count, and how many of them must sign. Keys that
are not named stay as they were; keys that are named take the place of all of their kind. It takes
effect with 'refresh', when enough have signed: of its own root keys, and of those of the root
before it.`,
		Example: `  picket publish root REPO --root-key a.pub --root-key b.pub --threshold 2 --targets-key t.pub --online-key s.pub
  picket publish root REPO --online-key new-server.pub     another online key
  picket publish root REPO                                 the same keys for another year`,
		RunE: func(cmd *cobra.Command, args []string) error {
			for name, n := range map[string]int{"threshold": ch.RootThreshold, "targets-threshold": ch.TargetsThreshold} {
				if cmd.Flags().Changed(name) && n < 1 {
					return usagef("--%s %d: one key at least must sign", name, n)
				}
			}
			var err error
			for _, k := range []struct {
				files []string
				to    *[]tuf.PublicKey
			}{{root, &ch.Root}, {targets, &ch.Targets}, {online, &ch.Online}} {
				if *k.to, err = publicKeys(k.files); err != nil {
					return err
				}
			}
			if ch.Lasts, err = lasting(lasts); err != nil {
				return err
			}
			r := repositoryAt(args[0])
			if err := r.StageRoot(ch); err != nil {
				return err
			}
			return with.signStaged(cmd, r.Staged("root"))
		},
	}
	cmd.Flags().StringArrayVar(&root, "root-key", nil, "public key `FILE` that signs roots; repeatable")
	cmd.Flags().StringArrayVar(&targets, "targets-key", nil, "public key `FILE` that signs what is published; repeatable")
	cmd.Flags().StringArrayVar(&online, "online-key", nil, "public key `FILE` that signs snapshot and timestamp; repeatable, one signs")
	cmd.Flags().IntVar(&ch.RootThreshold, "threshold", 0, "how many root keys must sign: `N` (default as before, or 1)")
	cmd.Flags().IntVar(&ch.TargetsThreshold, "targets-threshold", 0, "how many targets keys must sign: `N` (default as before, or 1)")
	cmd.Flags().StringVar(&lasts, "expires", "365d", "for how long the root is good: `TIME`")
	with.add(cmd)
	return cmd
}

func publishPackCommand() *cobra.Command {
	var (
		from, lasts string
		with        signFlags
	)
	cmd := &cobra.Command{
		Use: "pack REPO", Short: "Check a folder of rules, indicators and policy, and put it into the repository", Args: oneArg("the folder of the repository"),
		Long: `Pack takes rules/ (with pack.yaml), indicators/ and policy.yaml of a folder, any of which may be
left out, checks them as a device does, tests inside rules included, and makes
REPO/staged/targets.json. What is left out is no longer published: devices then use what is built
in, and no policy. It takes effect with 'refresh', when enough have signed.`,
		Example: "  picket publish pack REPO --from fleet/\n  picket publish pack REPO --from fleet/ --key alice.key",
		RunE: func(cmd *cobra.Command, args []string) error {
			if from == "" {
				return usagef("--from is needed: the folder with rules/, indicators/ and policy.yaml")
			}
			d, err := lasting(lasts)
			if err != nil {
				return err
			}
			files, err := packFolder(from)
			if err != nil {
				return err
			}
			r := repositoryAt(args[0])
			if err := r.StageTargets(files, d); err != nil {
				return err
			}
			return with.signStaged(cmd, r.Staged("targets"))
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "the `FOLDER` to publish")
	cmd.Flags().StringVar(&lasts, "expires", "90d", "for how long it is good: `TIME`")
	with.add(cmd)
	return cmd
}

func publishSignCommand() *cobra.Command {
	var with signFlags
	cmd := &cobra.Command{
		Use: "sign FILE", Short: "Sign a staged root.json or targets.json, wherever it is", Args: oneArg("the file to sign"),
		Long: `Sign puts signatures on a file. Several people sign one after the other, each on a machine of
their own: the file is all that travels. Read what you sign: root.json names keys, targets.json
names files by their digests.`,
		Example: "  picket publish sign staged/root.json --key alice.key\n  age -d bob.key.age | picket publish sign staged/root.json --key -",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(with.keys) == 0 {
				return usagef("--key is needed: a private key")
			}
			return with.signStaged(cmd, args[0])
		},
	}
	with.add(cmd)
	return cmd
}

func publishRefreshCommand() *cobra.Command {
	var key, lasts string
	cmd := &cobra.Command{
		Use: "refresh REPO", Short: "Publish what is staged and signed, and sign snapshot and timestamp anew", Args: oneArg("the folder of the repository"),
		Long: `Refresh lets what is staged take effect if enough have signed it, and signs snapshot and
timestamp with the online key. Run it after 'sign', and often enough by a timer that devices never
see an expired timestamp: they would keep what they have and warn.`,
		Example: "  picket publish refresh REPO --key server.key --expires 7d",
		RunE: func(cmd *cobra.Command, args []string) error {
			if key == "" {
				return usagef("--key is needed: the online key")
			}
			d, err := lasting(lasts)
			if err != nil {
				return err
			}
			keys, err := privateKeys(cmd.InOrStdin(), []string{key})
			if err != nil {
				return err
			}
			r := repositoryAt(args[0])
			if err := r.Refresh(keys[0], d); err != nil {
				return &hinted{err, "see 'picket publish status " + args[0] + "'"}
			}
			return showRepository(cmd.OutOrStdout(), r)
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "the online key `FILE`; - reads it from standard input")
	cmd.Flags().StringVar(&lasts, "expires", "7d", "for how long devices may rely on it: `TIME`")
	return cmd
}

func publishStatusCommand() *cobra.Command {
	var as jsonFlags
	cmd := &cobra.Command{
		Use: "status REPO", Short: "Show versions, when they expire, and which signatures are missing", Args: oneArg("the folder of the repository"),
		Example: "  picket publish status REPO",
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := as.wantJSON()
			if err != nil {
				return err
			}
			r := repositoryAt(args[0])
			if !asJSON {
				return showRepository(cmd.OutOrStdout(), r)
			}
			states, err := r.State()
			if err != nil {
				return err
			}
			return writeJSON(cmd.OutOrStdout(), states)
		},
	}
	as.add(cmd)
	return cmd
}

func showRepository(w io.Writer, r *tuf.Repository) error {
	states, err := r.State()
	if err != nil {
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "ROLE\tVERSION\tSTATE\tSIGNED\tEXPIRES\tMISSING")
	for _, s := range states {
		state := "served"
		if s.Staged {
			state = "staged"
		}
		var missing []string
		for _, id := range s.Missing {
			missing = append(missing, id[:min(12, len(id))])
		}
		fmt.Fprintf(tw, "%s\t%d\t%s\t%d of %d\t%s\t%s\n", report.Clean(s.Role), s.Version, state, len(s.Signed), s.Threshold, s.Expires.Format(time.RFC3339), report.Clean(strings.Join(missing, " ")))
	}
	return tw.Flush()
}

// signFlags name private keys.
type signFlags struct{ keys []string }

func (f *signFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.keys, "key", nil, "sign with this private key `FILE`; - reads it from standard input; repeatable")
}

// signStaged signs a staged file with the keys that were named, if any.
func (f *signFlags) signStaged(cmd *cobra.Command, name string) error {
	keys, err := privateKeys(cmd.InOrStdin(), f.keys)
	if err != nil {
		return err
	}
	role, version, err := tuf.SignFile(name, keys...)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s %d, %d signatures added\n", name, role, version, len(keys))
	return err
}

// lasting reads for how long metadata are good.
func lasting(text string) (time.Duration, error) {
	d, err := parseDuration(text)
	if err != nil || d < time.Minute || d > 3660*day {
		return 0, usagef("--expires %q is no time from 1m to 3660d", text)
	}
	return d, nil
}
