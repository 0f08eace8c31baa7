package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/config"
	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/problem"
	"github.com/avtotpy/avtotpy/internal/store"
	"github.com/avtotpy/avtotpy/internal/web"
)

// A userCommand is one call of "avtotpy user", with its flags: an operator works on users over the web server's
// connection, with the master keys.
type userCommand struct {
	program
	name     string // of the user; empty for list
	json     bool
	generate bool
	yes      bool
	store    *store.Store
	by       store.Operator
}

func bindGenerate(c *userCommand, flags *flag.FlagSet) {
	flags.BoolVar(&c.generate, "generate", false, "make a password and print it")
}

func bindYes(c *userCommand, flags *flag.FlagSet) {
	flags.BoolVar(&c.yes, "yes", false, "do it; without it, nothing is removed")
}

// bindUser returns how a command defines its flags, which may stand before and after the name.
func (p program) bindUser(bind func(*userCommand, *flag.FlagSet),
	do func(userCommand, context.Context) error,
) func(*flag.FlagSet) action {
	return func(flags *flag.FlagSet) action {
		c := &userCommand{program: p}
		asJSON := jsonFlag(flags)
		if bind != nil {
			bind(c, flags)
		}
		return func(ctx context.Context, args []string) error {
			row, _ := p.find(strings.Fields(flags.Name()))
			if row.takes != "" {
				if err := c.takeName(row, flags, args); err != nil {
					return err
				}
			}
			c.json = *asJSON
			c.by = store.Operator{Name: operatorName(), Command: "avtotpy " + row.name}
			return p.withStore(ctx, func(st *store.Store, _ *keyring.Ring) error {
				c.store = st
				return do(*c, ctx)
			})
		}
	}
}

// takeName reads the user's name, and the flags after it.
func (c *userCommand) takeName(row command, flags *flag.FlagSet, args []string) error {
	if len(args) == 0 {
		return c.usageError(row, "the name of the user is missing")
	}
	c.name = args[0]
	if err := flags.Parse(args[1:]); err != nil {
		return c.usageError(row, flagMessage(err, flags))
	}
	if flags.NArg() > 0 {
		return c.usageError(row, "there is more than one name: one with spaces needs quotes, and a "+
			"password is never an argument")
	}
	return nil
}

// operatorName is the system's user who calls the command; the audit log keeps it.
func operatorName() string {
	name := "uid " + strconv.Itoa(os.Getuid())
	if who, err := user.Current(); err == nil {
		name = who.Username
	}
	if before := os.Getenv("SUDO_USER"); before != "" {
		name += " (" + before + ")"
	}
	return "operator " + name
}

// A userError is something about users that does not allow what was asked for.
type userError struct{ text string }

func (e *userError) Error() string { return e.text }

// A userDocument is a user for machines; docs/users.md documents the names.
type userDocument struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	CreatedAt  time.Time  `json:"created_at"`
	LastSeenAt *time.Time `json:"last_seen_at"`
	Sessions   int        `json:"sessions"`
	Accounts   int        `json:"accounts"`
}

func (c userCommand) list(ctx context.Context) error {
	users, err := c.store.Users(ctx)
	if err != nil {
		return err
	}
	if c.json {
		documents := make([]userDocument, 0, len(users))
		for _, u := range users {
			documents = append(documents, userDocument{
				u.ID.String(), u.Name, u.CreatedAt.UTC(), seenAt(u), u.Sessions,
				u.Accounts,
			})
		}
		return c.document(map[string]any{"users": documents})
	}
	if len(users) == 0 {
		_, err := fmt.Fprintln(c.stdout, "There is no user yet; add one with \"avtotpy user add NAME\", or on the "+
			"page /setup.")
		return err
	}
	rows := [][]string{{"NAME", "CREATED", "LAST SEEN", "SESSIONS", "ACCOUNTS"}}
	for _, u := range users {
		seen := "-"
		if !u.LastSeenAt.IsZero() {
			seen = u.LastSeenAt.UTC().Format(time.RFC3339)
		}
		rows = append(rows, []string{
			u.Name, u.CreatedAt.UTC().Format(time.RFC3339), seen, strconv.Itoa(u.Sessions),
			strconv.Itoa(u.Accounts),
		})
	}
	_, err = io.WriteString(c.stdout, columns(rows, 3, 4)) //nolint:mnd // the numbers
	return err
}

// seenAt is nil for a user who is not logged in.
func seenAt(u store.UserSummary) *time.Time {
	if u.LastSeenAt.IsZero() {
		return nil
	}
	return &u.LastSeenAt
}

func (c userCommand) add(ctx context.Context) error {
	password, err := c.password()
	if err != nil {
		return err
	}
	hash, err := auth.NewUser(ctx, c.name, password)
	if err != nil {
		return explainProblems(err)
	}
	u, _, err := c.store.CreateUser(ctx, c.name, hash, c.by)
	if errors.Is(err, store.ErrNameTaken) {
		return &userError{fmt.Sprintf("there is a user %q already, in lower or upper case. Choose another name",
			c.name)}
	}
	if err != nil {
		return err
	}
	return c.done(fmt.Sprintf("user %q was added", u.Name), password,
		map[string]any{"id": u.ID.String(), "name": u.Name})
}

func (c userCommand) resetPassword(ctx context.Context) error {
	u, err := c.find(ctx)
	if err != nil {
		return err
	}
	password, err := c.password()
	if err != nil {
		return err
	}
	hash, err := auth.NewPassword(ctx, u.Name, password)
	if err != nil {
		return explainProblems(err)
	}
	ended, err := c.store.ResetPassword(ctx, u, hash, c.by)
	if err != nil {
		return err
	}
	return c.done(fmt.Sprintf("user %q has another password; %d sessions ended", u.Name, ended), password,
		map[string]any{"id": u.ID.String(), "name": u.Name, "sessions_ended": ended})
}

func (c userCommand) endSessions(ctx context.Context) error {
	u, err := c.find(ctx)
	if err != nil {
		return err
	}
	ended, err := c.store.EndSessions(ctx, u.ID, c.by)
	if err != nil {
		return err
	}
	return c.done(fmt.Sprintf("%d sessions of user %q ended", ended, u.Name), "",
		map[string]any{"id": u.ID.String(), "name": u.Name, "sessions_ended": ended})
}

func (c userCommand) remove(ctx context.Context) error {
	u, err := c.find(ctx)
	if err != nil {
		return err
	}
	if !c.yes {
		row, _ := c.program.find([]string{"user", "remove"})
		return c.usageError(row, fmt.Sprintf("nothing was removed: the accounts of %s go with them for good. If that "+
			"is meant, add --yes", config.Shown(u.Name)))
	}
	switch err := c.store.RemoveUser(ctx, u.ID, c.by); {
	case errors.Is(err, store.ErrNotFound):
		return c.unknown()
	case errors.Is(err, store.ErrLastUser):
		return &userError{fmt.Sprintf("%q is the last user and cannot be removed. Add another one first", u.Name)}
	case errors.Is(err, store.ErrOnlyOwner):
		return &userError{fmt.Sprintf("%q is the only owner of a vault that others use. Make somebody else an "+
			"owner first", u.Name)}
	case err != nil:
		return err
	}
	return c.done(fmt.Sprintf("user %q was removed", u.Name), "", map[string]any{"id": u.ID.String(), "name": u.Name})
}

func (c userCommand) find(ctx context.Context) (store.User, error) {
	u, _, err := c.store.UserByName(ctx, c.name)
	if errors.Is(err, store.ErrNotFound) {
		return u, c.unknown()
	}
	return u, err
}

func (c userCommand) unknown() error {
	return &userError{fmt.Sprintf("there is no user %s; \"avtotpy user list\" lists them", config.Shown(c.name))}
}

// done prints what was done, and a password that was made: it is shown only here.
func (c userCommand) done(text, password string, about map[string]any) error {
	if c.json {
		if c.generate {
			about["password"] = password
		}
		return c.document(map[string]any{"user": about})
	}
	if c.generate {
		text += "; the password is " + password
	}
	_, err := fmt.Fprintln(c.stdout, text)
	return err
}

func (c userCommand) document(content any) error {
	encoder := json.NewEncoder(c.stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(content)
}

// password returns a new one: made, typed twice, or the first line of standard input.
func (c userCommand) password() (string, error) {
	if c.generate {
		const letters, group = 20, 5 // of 32 each: 100 bits
		text := strings.ToLower(rand.Text()[:letters])
		return strings.Join([]string{text[:group], text[group : 2*group], text[2*group : 3*group], text[3*group:]},
			"-"), nil
	}
	in := cmp.Or(c.stdin, os.Stdin)
	if !isTerminal(in) {
		return firstLine(in)
	}
	first, err := c.ask(in, "Password of "+c.name+": ")
	if err != nil {
		return "", err
	}
	again, err := c.ask(in, "The same again: ")
	if err != nil {
		return "", err
	}
	if first != again {
		return "", &userError{"the two passwords differ. Nothing was changed; try again"}
	}
	return first, nil
}

// ask reads a line from a terminal that does not show it.
func (c userCommand) ask(in *os.File, prompt string) (string, error) {
	restore, err := hideInput(in)
	if err != nil {
		return "", &userError{fmt.Sprintf("the terminal cannot hide a password (%v). Use --generate, or give it on "+
			"standard input", err)}
	}
	defer restore()
	_, _ = fmt.Fprint(c.stderr, prompt)
	defer func() { _, _ = fmt.Fprintln(c.stderr) }()
	return firstLine(in)
}

// firstLine reads no further than its line: a terminal is asked twice.
func firstLine(in io.Reader) (string, error) {
	const most = auth.MaxPassword + 2
	line, err := bufio.NewReaderSize(io.LimitReader(in, most), most).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if line == "" {
		return "", &userError{"no password was given. Write it to standard input, as in \"avtotpy user add NAME < " +
			"file\", or use --generate"}
	}
	return line, nil
}

// explainProblems words what is wrong with a name or a password.
func explainProblems(err error) error {
	problems, ok := errors.AsType[problem.List](err)
	if !ok {
		return err
	}
	texts := make([]string, len(problems))
	for i, one := range problems {
		texts[i] = web.Sentence(one)
	}
	return &userError{strings.Join(texts, " ")}
}
