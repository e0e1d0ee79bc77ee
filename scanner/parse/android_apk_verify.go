package parse

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
)

// SignatureState is how far a signature holds.
type SignatureState uint8

// The states of a signature. What Picket cannot verify, or was told not to, is unknown.
const (
	SignatureUnknown SignatureState = iota
	SignatureAbsent
	SignatureVerified // the signature and the content it speaks of
	SignatureFailed
)

func (s SignatureState) String() string {
	return [...]string{"unknown", "absent", "verified", "failed"}[s&3]
}

// APKVerifyOptions bound the work of Verify. The zero value verifies everything.
type APKVerifyOptions struct {
	// SDK, when not 0, is an API level: only the schemes that Android looks at there are verified.
	SDK int
	// SkipContent leaves the content of the APK alone: signatures are verified, but states stay
	// unknown at best. It costs a few reads where Verify reads the whole file.
	SkipContent bool
	// MaxContent is how many bytes of inflated files v1 may cost; 0 is 8 GiB.
	MaxContent int64
}

const (
	defaultMaxContent = 8 << 30
	unreleasedSDK     = 10_000 // what Android takes for the level of a release in the making
)

// APKSignatures is what the signatures of an APK are worth. Scheme 4 (a file beside the APK,
// for installing while downloading) and source stamps are not looked at: neither says who
// signed the app.
type APKSignatures struct {
	Schemes  []APKScheme // those that are present, from v1 up
	Problems []string    // about the signing block as a whole

	targetSDK int
}

// APKScheme is the result for one signature scheme: "v1" (of JAR files), "v2", "v3" or "v3.1".
type APKScheme struct {
	Name     string
	State    SignatureState
	Signers  []APKSigner
	Problems []string // why it failed or is unknown, and what is odd otherwise

	why          string         // the gravest error
	broken       bool           // its list of signers could not be read to the end
	announces    []int          // schemes that a v1 signature says are there too
	intact       SignatureState // State but for a newer scheme that has been stripped
	strippedFrom int            // API level from which on that fails the scheme; 0 when nothing is missing
}

// APKSigner is one signer. Unless its State is verified, the rest is a claim.
type APKSigner struct {
	State          SignatureState
	Certificates   []APKCertificate // the signer's own, then what came with it
	Algorithm      string           // of the signature
	MinSDK, MaxSDK int              // API levels that it is for; 0 and 0 outside of v3 and v3.1
	Lineage        []APKLineage     // earlier certificates, the oldest first and the signer's last
}

// APKLineage is one certificate of a proof of rotation, whose successor it has signed.
type APKLineage struct {
	APKCertificate
	Flags uint32 // what the app still trusts it with
}

func (s *APKScheme) problem(format string, args ...any) {
	if len(s.Problems) < maxAPKProblems {
		s.Problems = append(s.Problems, fmt.Sprintf(format, args...))
	}
}

// settle makes err the scheme's state: unknown when Picket is at its limits, else failed.
func (s *APKScheme) settle(err error) {
	s.problem("%v", err)
	if state := stateOf(err); s.why == "" || state > s.State {
		s.State, s.why = max(s.State, state), err.Error()
	}
}

func stateOf(err error) SignatureState {
	switch {
	case err == nil:
		return SignatureVerified
	case errors.Is(err, errUnsupported), errors.Is(err, errSkipped), errors.Is(err, errReading),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return SignatureUnknown
	}
	return SignatureFailed
}

var (
	errSkipped = errors.New("not verified")
	errReading = errors.New("the APK could not be read")
)

// Scheme finds the result for a scheme that is present.
func (s *APKSignatures) Scheme(name string) *APKScheme {
	for i := range s.Schemes {
		if s.Schemes[i].Name == name {
			return &s.Schemes[i]
		}
	}
	return nil
}

// Verify verifies the signatures of an APK. When ctx ends, what is not verified by then is
// unknown.
func (a *APK) Verify(ctx context.Context, o APKVerifyOptions) *APKSignatures {
	s := &APKSignatures{}
	if m, err := a.Manifest(); err == nil {
		s.targetSDK = max(m.TargetSDK, m.MinSDK)
		if m.TargetCodename != "" {
			s.targetSDK = unreleasedSDK
		}
	}
	block := a.zip.findSigningBlock()
	s.Problems = block.problems.texts()
	var v1 *APKScheme
	if o.SDK == 0 || !block.speaksAt(o.SDK) {
		v1 = a.zip.verifyV1(ctx, o)
	}
	if v1 != nil {
		v1.conclude()
		s.Schemes = append(s.Schemes, *v1)
	}
	s.Schemes = append(s.Schemes, block.verify(ctx, a.zip, o)...)
	return s
}

// At says what Android of that API level makes of the APK, and who signed it in its eyes. It
// takes the newest scheme that it knows and never falls back to an older one that is intact.
// The reason tells why the state is not verified. After a Verify for one API level, ask for
// that one alone.
func (s *APKSignatures) At(sdk int) (state SignatureState, signers []APKSigner, reason string) {
	if scheme := s.Scheme("v3.1"); scheme != nil && sdk >= 33 {
		if state, signers, reason := scheme.at(sdk); state != SignatureAbsent {
			return state, signers, reason
		}
	}
	if scheme := s.Scheme("v3"); scheme != nil && sdk >= 28 {
		state, signers, reason := scheme.at(sdk)
		if state == SignatureAbsent {
			return SignatureFailed, nil, fmt.Sprintf("v3 has no signer for API level %d", sdk)
		}
		return state, signers, reason
	}
	if scheme := s.Scheme("v2"); scheme != nil && sdk >= 24 {
		return scheme.whole(sdk)
	}
	scheme := s.Scheme("v1")
	switch {
	case scheme == nil:
		return SignatureAbsent, nil, fmt.Sprintf("no signature that API level %d knows", sdk)
	case sdk >= 24 && slices.Contains(scheme.announces, 2), sdk >= 28 && slices.Contains(scheme.announces, 3):
		return SignatureFailed, nil, "v1 tells of a newer signature, which has been stripped"
	case sdk >= 30 && s.targetSDK >= 30:
		return SignatureFailed, nil, fmt.Sprintf("v1 alone does not do for target SDK %d", s.targetSDK)
	}
	return scheme.whole(sdk)
}

// whole is the result of a scheme of which every signer counts.
func (s *APKScheme) whole(sdk int) (SignatureState, []APKSigner, string) {
	if state := s.stateAt(sdk); state != SignatureVerified {
		return state, nil, s.reason()
	}
	return SignatureVerified, s.Signers, ""
}

// stateAt is the scheme's state in the eyes of a release, which may not know the newer scheme
// that is missing.
func (s *APKScheme) stateAt(sdk int) SignatureState {
	if s.intact == SignatureVerified && s.strippedFrom > 0 && sdk >= s.strippedFrom {
		return SignatureFailed
	}
	return s.intact
}

// conclude sets the scheme's state from its signers.
func (s *APKScheme) conclude() {
	s.intact = overall(s)
	s.State = s.stateAt(math.MaxInt)
}

// at picks the signer for an API level; absent when there is none.
func (s *APKScheme) at(sdk int) (SignatureState, []APKSigner, string) {
	var found []APKSigner
	for _, signer := range s.Signers {
		if signer.MinSDK <= sdk && sdk <= signer.MaxSDK {
			found = append(found, signer)
		}
	}
	switch {
	case s.broken || len(s.Signers) == 0:
		return s.State, nil, s.reason()
	case len(found) == 0:
		return SignatureAbsent, nil, ""
	case len(found) > 1:
		return SignatureFailed, nil, fmt.Sprintf("%s has %d signers for API level %d", s.Name, len(found), sdk)
	case found[0].State != SignatureVerified:
		return found[0].State, nil, s.reason()
	case s.strippedFrom > 0 && sdk >= s.strippedFrom:
		return SignatureFailed, nil, s.reason()
	}
	return SignatureVerified, found, ""
}

func (s *APKScheme) reason() string {
	switch {
	case s.why != "":
		return s.Name + ": " + s.why
	case s.strippedFrom > 0:
		return fmt.Sprintf("%s tells of a newer signature for API level %d and later, which has been stripped", s.Name, s.strippedFrom)
	}
	return s.Name + " could not be verified"
}

// sdkRange reads API levels as schemes store them, where 2^31-1 is no limit.
func sdkRange(lowest, highest uint32) (int, int) {
	return int(min(lowest, math.MaxInt32)), int(min(highest, math.MaxInt32))
}
