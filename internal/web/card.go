package web

import "strings"

// hues is how many colours the letters of cards have.
const hues = 12

// hue gives each name a colour of its own that stays the same: FNV-1a of its characters. code-card.js
// does the same for names that are still being typed.
func hue(name string) uint32 {
	hash := uint32(2166136261)
	for _, r := range strings.ToLower(name) {
		hash = (hash ^ uint32(r)) * 16777619 //nolint:gosec // a rune is not negative
	}
	return hash % hues
}

// spoken writes a code as a screen reader has to say it: as digits, not as a number of six figures.
func spoken(code string) string { return strings.Join(strings.Split(code, ""), " ") }

// grouped cuts a code into parts that can be remembered. code-card.js does the same for codes that come later.
func grouped(code string) string {
	switch len(code) {
	case 6, 7:
		return code[:3] + " " + code[3:]
	case 8:
		return code[:4] + " " + code[4:]
	case 9, 10:
		return code[:3] + " " + code[3:6] + " " + code[6:]
	}
	return code
}
