package web

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"

	"golang.org/x/text/collate"
	"golang.org/x/text/language"

	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/store"
)

// accounts returns what a user sees, in the order of the visitor's language. The database sees no names,
// so it cannot sort by them.
func (s *site) accounts(ctx context.Context, p auth.Principal) ([]store.Account, error) {
	accounts, err := p.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	return s.orders().sort(accounts, visitorOf(ctx).languages), nil
}

// orders sorts by language. Making a collator is slow, and one works for one caller at a time.
type orders struct {
	languages language.Matcher
	tags      []language.Tag
	collators []sync.Pool
}

func newOrders() *orders {
	// The first one is for all others. Tags with an extension are of other orders than the usual one of their language,
	// such as that of German phone books.
	tags := slices.DeleteFunc(collate.Supported(), func(t language.Tag) bool { return len(t.Extensions()) > 0 })
	return &orders{language.NewMatcher(tags), tags, make([]sync.Pool, len(tags))}
}

// A collator sorts case-insensitively, and numbers as numbers.
type collator struct {
	*collate.Collator
	keys collate.Buffer
}

// sort orders accounts by what their cards show, in the language that a header Accept-Language prefers.
func (o *orders) sort(accounts []store.Account, header string) []store.Account {
	chosen := o.choose(header)
	pool := &o.collators[chosen]
	c, ok := pool.Get().(*collator)
	if !ok {
		c = &collator{Collator: collate.New(o.tags[chosen], collate.Numeric, collate.IgnoreCase)}
	}
	defer pool.Put(c)
	defer c.keys.Reset()
	type sortable struct {
		title, name []byte
		store.Account
	}
	all := make([]sortable, len(accounts))
	for i, a := range accounts {
		all[i] = sortable{c.KeyFromString(&c.keys, cmp.Or(a.Issuer, a.Account)), c.KeyFromString(&c.keys, a.Account), a}
	}
	slices.SortFunc(all, func(a, b sortable) int {
		return cmp.Or(bytes.Compare(a.title, b.title), bytes.Compare(a.name, b.name), slices.Compare(a.ID[:], b.ID[:]))
	})
	for i, a := range all {
		accounts[i] = a.Account
	}
	return accounts
}

// choose returns the index of a language that is asked for.
func (o *orders) choose(header string) int {
	const longest = 200 // bytes; browsers send some forty
	if len(header) > longest {
		return 0
	}
	wanted, _, err := language.ParseAcceptLanguage(header)
	if err != nil {
		return 0
	}
	_, index, confidence := o.languages.Match(wanted...)
	if confidence < language.High { // a related language, which may sort otherwise
		return 0
	}
	return index
}
