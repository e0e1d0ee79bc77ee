package agent

import (
	"bytes"
	"context"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"picket/scanner"
	"picket/transport/stepca"
)

// verifyFlags are those of who verifies tokens.
type verifyFlags struct {
	roots, crl, audience, level, age string
	skew                             time.Duration
}

func (f *verifyFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.roots, "roots", "", "`FILE` of the root certificates, in PEM, of the CA that gives devices theirs")
	cmd.Flags().StringVar(&f.crl, "crl", "", "`FILE` of the CA's certificate revocation list, in PEM or DER; read anew when it changes")
	cmd.Flags().StringVar(&f.audience, "audience", "", "the `URL` or name that tokens must be for")
	cmd.Flags().StringVar(&f.level, "max-level", "", "besides the device's own policy, let in up to this `LEVEL`: secured, low, medium, high; also devices without a policy")
	cmd.Flags().StringVar(&f.age, "max-age", "", "let in only devices whose last whole scan is younger than a `DURATION`")
	cmd.Flags().DurationVar(&f.skew, "skew", time.Minute, "by how much clocks may differ: a `DURATION` of up to 5m")
}

func (f *verifyFlags) verifier() (*postureVerifier, gateRule, error) {
	var rule gateRule
	if f.roots == "" || f.audience == "" {
		return nil, rule, usagef("--roots and --audience are needed")
	}
	if f.skew < 0 || f.skew > 5*time.Minute {
		return nil, rule, usagef("--skew is out of range: 0s to 5m")
	}
	if f.level != "" {
		if err := rule.level.UnmarshalText([]byte(f.level)); err != nil || rule.level == scanner.Unjudged {
			return nil, rule, usagef("--max-level %q is none of secured, low, medium, high", f.level)
		}
	}
	if f.age != "" {
		var err error
		if rule.age, err = parseDuration(f.age); err != nil || rule.age <= 0 {
			return nil, rule, usagef("--max-age %q is no duration such as 12h or 1d", f.age)
		}
	}
	b, err := os.ReadFile(f.roots)
	if err != nil {
		return nil, rule, fmt.Errorf("reading the roots: %w", err)
	}
	certs, err := stepca.ParseChain(b)
	if err != nil {
		return nil, rule, fmt.Errorf("%s: %w", f.roots, err)
	}
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c)
	}
	v := &postureVerifier{roots: pool, issuers: certs, audience: f.audience, skew: f.skew, now: time.Now}
	if f.crl != "" {
		v.revoked = &revocations{path: f.crl, now: time.Now}
		if _, err := v.revoked.load(); err != nil {
			return nil, rule, err
		}
	}
	return v, rule, nil
}

func postureVerifyCommand() *cobra.Command {
	var (
		flags verifyFlags
		as    jsonFlags
		nonce string
	)
	cmd := &cobra.Command{
		Use: "verify", Short: "Verify a device's posture token, for a gateway", Args: noArgs,
		Long: `Verify reads a token of 'picket posture --token' from standard input, and says what it says if it
is genuine: signed with the key of a certificate by one of the roots, for this audience, with this
nonce, not older than 5 minutes. It asks nobody. A nonce is for one token: make a new one, by chance,
each time. With --crl a revoked certificate is refused, and so is every token once the list is past
its time.

Exit status: 0 let in, 1 error or not genuine, 5 genuine and not to be let in, 64 usage.`,
		Example: "  picket posture verify --roots ca.pem --audience https://vpn.example.org --nonce 4f2a60b1 < token",
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		asJSON, err := as.wantJSON()
		if err != nil {
			return err
		}
		v, rule, err := flags.verifier()
		if err != nil {
			return err
		}
		if len(nonce) < nonceMin {
			return usagef("--nonce needs %d bytes at least", nonceMin)
		}
		b, err := readBounded(cmd.InOrStdin(), tokenMax)
		if err != nil {
			return fmt.Errorf("reading the token: %w", err)
		}
		c, err := v.verify(string(bytes.TrimSpace(b)), func(c *postureClaims) error {
			if subtle.ConstantTimeCompare([]byte(c.Nonce), []byte(nonce)) != 1 {
				return errors.New("it is for another nonce")
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("the token is refused: %w", err)
		}
		no := rule.admit(c)
		if asJSON {
			err = writeJSON(cmd.OutOrStdout(), c)
		} else {
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: level %s, access %s\n", quoted(c.Subject), c.Level, quoted(c.State))
			if no != nil && err == nil {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), no)
			}
		}
		if err != nil {
			return err
		}
		return no
	}
	flags.add(cmd)
	as.add(cmd)
	cmd.Flags().StringVar(&nonce, "nonce", "", "the `TEXT` that was given for this one token")
	return cmd
}

func postureServeCommand() *cobra.Command {
	var (
		flags          verifyFlags
		listen, header string
	)
	cmd := &cobra.Command{
		Use: "serve", Short: "Verify posture tokens for a web server that asks by HTTP", Args: noArgs,
		Long: `Serve answers a proxy (nginx's auth_request, HAProxy by Lua) for each request that reaches it: 204 let
in, 401 without a genuine token, with a nonce for one in the header Picket-Nonce, 403 genuine and not
to be let in. The token comes in Picket-Posture, or in Authorization as Bearer. Have the CA's revocation
list fetched every few minutes, and name it with --crl.

A token counts once. With --device-header it counts until it ends, for the device alone that the
proxy names there by the client certificate of the connection; the proxy must take that header away
from what clients send.`,
		Example: "  picket posture serve --listen 127.0.0.1:8470 --roots ca.pem --audience https://work.example.org --device-header X-Device-CN",
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		v, rule, err := flags.verifier()
		if err != nil {
			return err
		}
		host, _, err := net.SplitHostPort(listen)
		if err != nil {
			return usagef("--listen %q is no address such as 127.0.0.1:8470", listen)
		}
		if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
			return usagef("--listen: only loopback is served, for a proxy on this machine")
		}
		l, err := (&net.ListenConfig{}).Listen(cmd.Context(), "tcp", listen)
		if err != nil {
			return fmt.Errorf("listening: %w", err)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "picket: answering on %s\n", l.Addr())
		err = newGate(v, rule, header).serve(cmd.Context(), l)
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8470", "`ADDRESS` on loopback")
	cmd.Flags().StringVar(&header, "device-header", "", "`NAME` of the header in which the proxy says whose client certificate the connection has")
	return cmd
}
