package config

import (
	"strconv"
	"strings"
)

// Shown quotes what an operator wrote in a place that is not for secrets. A connection string or a key that got there
// by mistake is not repeated.
func Shown(value string) string {
	const longest = 48 // bytes; of a master key there are more
	if strings.ContainsAny(value, "@=") || len(value) > longest {
		return "this value (not repeated here, as it may hold a secret)"
	}
	return strconv.Quote(value)
}
