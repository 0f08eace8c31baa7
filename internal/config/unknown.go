package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// unknownVariables returns a warning for each variable that looks like one of this program and is not, sorted by name.
func unknownVariables(env map[string]string) []string {
	known := map[string]bool{}
	for _, v := range variables() {
		known[v.name] = true
		if v.secret {
			known[v.fileName()] = true
		}
	}
	injected := regexp.MustCompile(injectedByKubernetes)
	var warnings []string
	for name := range env {
		ours := strings.HasPrefix(name, "AVTOTPY_") || strings.HasPrefix(name, "POSTGRES_MIGRATOR_")
		if ours && !known[name] && !injected.MatchString(name) {
			warnings = append(warnings, fmt.Sprintf("%s: there is no such variable%s", name, suggestion(name, known)))
		}
	}
	slices.Sort(warnings)
	return warnings
}

// injectedByKubernetes matches what every container finds in its environment when there is a Service called avtotpy
// (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
const injectedByKubernetes = `^AVTOTPY_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|` +
	`PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`

// suggestion names the known variable that was probably meant.
func suggestion(name string, known map[string]bool) string {
	if plain, ok := strings.CutSuffix(name, fileSuffix); ok && known[plain] {
		return fmt.Sprintf("; %s is not a secret and can't be given as a file", plain)
	}
	best, distance := Nearest(name, slices.Collect(maps.Keys(known)))
	// Half of a short word is another word.
	ending := strings.TrimPrefix(strings.TrimPrefix(best, "POSTGRES_MIGRATOR_"), "AVTOTPY_")
	if best == "" || distance > len(ending)/2 {
		return ""
	}
	return "; did you mean " + best + "?"
}

// Nearest returns the known name that takes the fewest changed letters, and how many, of which it accepts up to three;
// "" when all are further away.
func Nearest(name string, known []string) (best string, distance int) {
	distance = 4
	for _, candidate := range slices.Sorted(slices.Values(known)) {
		if d := editDistance(name, candidate); d < distance {
			best, distance = candidate, d
		}
	}
	return best, distance
}

// editDistance returns how many letters must be inserted, deleted or changed to turn a into b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
