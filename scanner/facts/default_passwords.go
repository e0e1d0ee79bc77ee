package facts

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/GehirnInc/crypt"
	"github.com/GehirnInc/crypt/md5_crypt"
	"github.com/GehirnInc/crypt/sha256_crypt"
	"github.com/GehirnInc/crypt/sha512_crypt"

	"picket/scanner"
	"picket/scanner/parse"
)

// DefaultPassword is an account with a password, and whether everybody knows it.
type DefaultPassword struct {
	Account    string `expr:"account" json:"account" doc:"login name"`
	UID        int    `expr:"uid" json:"uid" doc:"user id"`
	LoginShell bool   `expr:"login_shell" json:"login_shell" doc:"the shell lets a person in"`
	Scheme     string `expr:"scheme" json:"scheme" doc:"hash scheme: sha512, md5, ..."`
	Default    bool   `expr:"default" json:"default" doc:"the password is the account's name or one that vendors ship"`
	Where      string `expr:"where" json:"-" doc:"file and line"`
	scanner.Unread
}

// wellKnown are passwords that makers of phones, boards, routers and images ship or show in
// their first steps, and those that people replace them with first.
var wellKnown = []string{"root", "admin", "password", "toor", "alpine", "raspberry", "temppwd", "147147", "1234", "12345", "123456", "12345678",
	"default", "changeme", "user", "guest"}

const (
	// maxRounds bounds the work for one file: half a second of a PC's time.
	maxRounds   = 450_000
	maxHash     = 256 // bytes of a hash that is tried
	md5Rounds   = 1000
	shaRounds   = 5000 // unless the hash says otherwise
	fewestSHA   = 1000
	markDefault = 'd' // a masked hash of a well-known password
	markOther   = 'o' // a masked hash that none of them matched
	markUntried = 'x'
)

// markPasswords masks the hashes of passwd or shadow so that it can be told which of them are
// of well-known passwords. What is masked already stays as it is, so that a recording says
// what its device said.
func markPasswords(content []byte) []byte {
	left := maxRounds
	return parse.RedactAccounts(content, func(name, hash []byte) byte { return guess(string(name), hash, &left) })
}

// guess tries the well-known passwords, as long as there are rounds left.
func guess(name string, hash []byte, left *int) byte {
	if mark, ok := parse.AccountMark(hash); ok {
		return mark
	}
	scheme, rounds := crypter(hash)
	guesses := wellKnown
	if !slices.Contains(guesses, name) {
		guesses = append([]string{name}, guesses...)
	}
	if scheme == nil || len(name) > maxHash || *left < rounds*len(guesses) {
		return markUntried
	}
	*left -= rounds * len(guesses)
	for _, g := range guesses {
		err := scheme.Verify(string(hash), []byte(g))
		switch {
		case err == nil:
			return markDefault
		case !errors.Is(err, crypt.ErrKeyMismatch):
			return markUntried // not a hash after all
		}
	}
	return markOther
}

// crypter gives the scheme of a hash and the rounds that one try takes; nil for other schemes
// and for hashes that are made to be slow.
func crypter(hash []byte) (crypt.Crypter, int) {
	if len(hash) > maxHash {
		return nil, 0
	}
	rest, sha256 := bytes.CutPrefix(hash, []byte("$5$"))
	rest2, sha512 := bytes.CutPrefix(hash, []byte("$6$"))
	switch {
	case bytes.HasPrefix(hash, []byte("$1$")):
		return md5_crypt.New(), md5Rounds
	case !sha256 && !sha512:
		return nil, 0
	case sha512:
		rest = rest2
	}
	rounds := shaRounds
	if text, ok := bytes.CutPrefix(rest, []byte("rounds=")); ok {
		text, _, _ = bytes.Cut(text, []byte{'$'})
		n, err := strconv.Atoi(string(text))
		if err != nil || n < 0 || n > maxRounds {
			return nil, 0
		}
		rounds = max(n, fewestSHA)
	}
	if sha256 {
		return sha256_crypt.New(), rounds
	}
	return sha512_crypt.New(), rounds
}

func defaultPasswordsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "default_passwords", Doc: "accounts with a password, and whether it is one that everybody knows", Row: DefaultPassword{},
		Reads: scanner.Reads{Globs: []string{"/etc/passwd", "/etc/shadow"}}, Needs: []string{"users"}, Collect: collectDefaultPasswords,
	}
}

func collectDefaultPasswords(_ context.Context, in *scanner.Input) scanner.Table {
	users, why := scanner.Rows[User](in, "users")
	if why != "" {
		return scanner.Table{Absent: why}
	}
	var t scanner.Table
	r := newReader(in, &t)
	marks := map[bool]map[string]byte{}
	for inPasswd, name := range map[bool]string{true: "/etc/passwd", false: "/etc/shadow"} {
		marks[inPasswd] = parse.AccountMarks(markPasswords(r.upTo(name, maxAccountFile)))
	}
	rows := []DefaultPassword{}
	for _, u := range users {
		if u.Password != string(parse.PasswordSet) {
			continue
		}
		row := DefaultPassword{Account: u.Name, UID: u.UID, LoginShell: u.LoginShell, Scheme: u.Scheme, Where: u.Where}
		switch mark := marks[u.InPasswd][u.Name]; {
		case mark == markDefault:
			row.Default = true
		case mark == markOther:
		case slices.Contains([]string{"md5", "sha256", "sha512"}, u.Scheme):
			row.MarkUnread("default", "the password of "+u.Name+" was not tried: it takes too long, or its hash was not kept")
		default:
			row.MarkUnread("default", "passwords of scheme "+strings.TrimSpace(u.Scheme)+" are not tried")
		}
		rows = append(rows, row)
	}
	t.Rows = rows
	return t
}
