package connstring

import (
	"fmt"
	"regexp"
	"strings"
)

// parsePairs reads NAME=VALUE pairs like libpq's conninfo_parse.
func parsePairs(conn string) (settings, error) {
	s := settings{}
	rest := strings.TrimLeft(conn, blanks)
	for n := 1; rest != ""; n++ {
		part := fmt.Sprintf("parameter no. %d", n)
		name, after, ok := strings.Cut(rest, "=")
		name = strings.Trim(name, blanks)
		if err := checkName(name, ok, n, part); err != nil {
			return nil, err
		}
		part = s.label(name, part)
		value, quoted, spaced := "", false, after != strings.TrimLeft(after, blanks)
		var err error
		if value, rest, quoted, err = cutValue(strings.TrimLeft(after, blanks), part); err != nil {
			return nil, err
		}
		if err := checkUnquoted(canonical(name), value, part, quoted, spaced); err != nil {
			return nil, err
		}
		rest = strings.TrimLeft(rest, blanks)
		if canonical(name) == "user" && value == "" { // pgx does not take it for one
			continue
		}
		if err := s.add(name, value, part); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// checkName refuses what cannot be a name, as which a part of a value may appear.
func checkName(name string, ok bool, n int, part string) error {
	if advice, listed := foreignNames()[strings.ToLower(name)]; ok && listed && parameters()[canonical(name)] == nil {
		return refusal(part+" ("+name+")", advice)
	}
	switch {
	case n == 1 && (!ok || !regexp.MustCompile(`^[A-Za-z][A-Za-z_ ]*$`).MatchString(name)):
		return &Error{Problem: "is neither a URL that begins with postgres:// nor pairs of NAME=VALUE", Next: useURL}
	case !ok || strings.ContainsAny(name, blanks):
		return &Error{
			Part: part, Problem: "is not NAME=VALUE",
			Next: `write a value with spaces in quotes, as in password='two words', and in it \' for ' and \\ for \`,
		}
	}
	return nil
}

// cutValue takes a value off the front. libpq's rule for \ is that the next character stands for itself.
func cutValue(rest, part string) (value, after string, quoted bool, err error) {
	body, quoted := strings.CutPrefix(rest, "'")
	var b strings.Builder
	for i := 0; i < len(body); i++ {
		c := body[i]
		switch {
		case c == '\\' && i+1 < len(body):
			i++
			b.WriteByte(body[i])
		case c == '\\' && !quoted:
			return "", "", quoted, &Error{Part: part, Problem: `ends with a single \`, Next: `write \\ for \`}
		case quoted && c == '\'':
			after = body[i+1:]
			if after != "" && !strings.ContainsAny(after[:1], blanks) {
				return "", "", quoted, &Error{
					Part: part, Problem: "goes on behind its closing quote",
					Next: `write \' for ' in a value in quotes, and a space between pairs`,
				}
			}
			return b.String(), after, quoted, nil
		case !quoted && strings.IndexByte(blanks, c) >= 0:
			return b.String(), body[i:], quoted, nil
		default:
			b.WriteByte(c)
		}
	}
	if quoted {
		return "", "", quoted, &Error{
			Part: part, Problem: "has an opening quote without a closing one",
			Next: `write \' for ' in a value in quotes`,
		}
	}
	return b.String(), "", quoted, nil
}

// checkUnquoted refuses a value without quotes that looks as if it held the next pair.
func checkUnquoted(name, value, part string, quoted, spaced bool) error {
	if quoted {
		return nil
	}
	secret := name == "password" || name == "sslpassword"
	looksLikeNext := regexp.MustCompile(`[;,&]\s*[A-Za-z][A-Za-z_ ]*=|[;,&]$`)
	if spaced {
		looksLikeNext = regexp.MustCompile(`[;,&]\s*[A-Za-z][A-Za-z_ ]*=|[;,&]$|^[A-Za-z_]+=`)
	}
	switch {
	case strings.HasPrefix(value, `"`):
		return &Error{
			Part: part, Problem: "is in double quotes, which PostgreSQL takes for a part of the value",
			Next: "write single ones, as in password='two words'",
		}
	case (name == "user" || name == "dbname") && strings.ContainsAny(value, ":/"):
		return &Error{
			Part: part, Problem: "holds : or /, as if a password or a host were in it",
			Next: usePairs + "; a name with such a character goes in quotes",
		}
	case looksLikeNext.MatchString(value), !secret && name != "options" && strings.ContainsAny(value, ";="):
		return &Error{
			Part: part, Problem: "has no value, or one that holds the next pair",
			Next: "write spaces between pairs, not ; or , or &, and a value with such characters in quotes, as in " +
				"password='a;b'",
		}
	}
	return nil
}
