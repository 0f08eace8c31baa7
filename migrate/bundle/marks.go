package bundle

import (
	"slices"
	"strings"
)

// othersMark says why a comment that another tool reads, in a file that was taken over from
// it, would make the file do something else here than there; "" when it would not. Others,
// such as "-- +goose Up", change nothing. above is whether it stands above the first statement,
// and followed whether a statement follows it.
func othersMark(text string, above, followed bool) string {
	const longest = 48
	tool := strings.HasPrefix(text, "+") || strings.HasPrefix(text, "@")
	text = strings.TrimLeft(text[:min(len(text), 2*longest)], "-+@#*!=/[<>~'\" \t\r\n")
	const first = "abcdfgmnrstuABCDFGMNRSTU0123456789" // of a mark: most comments end here
	if text == "" || len(text) > longest || !tool && !strings.ContainsRune(first, rune(text[0])) {
		return ""
	}
	words := strings.FieldsFunc(strings.ToLower(text), func(c rune) bool {
		return strings.ContainsRune(" \t\r\n:;=_-()[]<>*~'\"", c)
	})
	for len(words) > 0 && strings.Trim(words[0], "0123456789") == "" {
		words = words[1:]
	}
	switch mark := strings.Join(words, " "); {
	case goesBack(words, tool), slices.Contains([]string{
		"migrate down notransaction", "create above / drop below", "down migration rollback", "up/down",
	}, mark):
		if followed {
			return "what stands below this mark of another tool takes the migration back, and would be applied " +
				"right after it; " +
				"delete the mark and all that is below it, for files go forward only"
		}
	case slices.Contains([]string{
		"goose no transaction", "no transaction", "notransaction", "atlas txmode none", "tern disable tx", "disable tx",
		"migrate up notransaction", "migrate up transaction false", "flyway executeintransaction false",
		"execute in transaction false",
	}, mark):
		if above {
			return "this mark of another tool means nothing here, and the file would run in a transaction; " +
				"write -- migrate:no-transaction instead, or leave it out"
		}
	}
	return ""
}

// goesBack reports whether a comment is no more than a mark such as "down", "+tool Down", "name: down" or
// "rollback script". tool is whether it begins like one that a tool reads.
func goesBack(words []string, tool bool) bool {
	back := func(word string) bool {
		switch word {
		case "down", "downs", "undo", "rollback", "revert", "reverse", "backward", "backwards":
			return true
		}
		return false
	}
	switch len(words) {
	case 1:
		return back(words[0])
	case 2:
		around := []string{
			"begin", "dbmate", "goose", "migrate", "migration", "migrations", "name", "rambler", "script", "section",
			"sql", "start",
		}
		if back(words[1]) {
			return tool || slices.Contains(around, words[0])
		}
		return back(words[0]) && slices.Contains(around, words[1])
	}
	return false
}
