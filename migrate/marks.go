package migrate

import "strings"

// othersMark says why a comment that another tool reads, in a file that was taken over from
// it, would make the file do something else here than there; "" when it would not. Others,
// such as "-- +goose Up", change nothing. above is whether it stands above the first statement,
// and followed whether a statement follows it.
func othersMark(text string, above, followed bool) string {
	const longest = 48
	text = strings.TrimLeft(text[:min(len(text), 2*longest)], "-+@#*!=/ \t")
	if text == "" || len(text) > longest || !strings.ContainsRune("acdfgmnrtuACDFGMNRTU0123456789", rune(text[0])) {
		return ""
	}
	words := strings.FieldsFunc(strings.ToLower(text), func(c rune) bool { return strings.ContainsRune(" \t:;=_-()", c) })
	switch mark := strings.TrimLeft(strings.Join(words, " "), "0123456789 "); mark {
	case "goose down", "migrate down", "migrate down notransaction", "create above / drop below", "undo", "rambler down", "down", "downs",
		"down migration", "down migration rollback", "up/down":
		if followed {
			return "what stands below this mark of another tool takes the migration back, and would be applied right after it; " +
				"delete the mark and all that is below it, for files go forward only"
		}
	case "goose no transaction", "no transaction", "notransaction", "atlas txmode none", "tern disable tx", "disable tx",
		"migrate up notransaction", "migrate up transaction false", "flyway executeintransaction false", "execute in transaction false":
		if above {
			return "this mark of another tool means nothing here, and the file would run in a transaction; " +
				"write -- migrate:no-transaction instead, or leave it out"
		}
	}
	return ""
}
