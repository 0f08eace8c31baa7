package config

import (
	"strings"
	"testing"
)

// TestASecretInTheWrongPlaceIsNotRepeated puts a connection string and a master key into each
// setting that is for no secret. Folders take any name.
func TestASecretInTheWrongPlaceIsNotRepeated(t *testing.T) {
	t.Parallel()
	const secret = "hunter2S3CRET"
	for _, v := range variables() {
		if v.secret || v.name == dataDir || v.name == backupDir || strings.HasSuffix(v.name, "_BIN") {
			continue
		}
		for _, value := range []string{
			"postgres://u:" + secret + "@db:5432/avtotpy", "host=db password=" + secret, "k1:" + secret +
				strings.Repeat("A", 43),
			"~/" + secret + "@x", "http://u:" + secret + "@host", "1.2.3.4:" + secret + "@",
		} {
			_, warnings, err := LoadFor("", []string{admin, web, user, pass, key, v.name + "=" + value})
			if err != nil && strings.Contains(err.Error(), secret) ||
				strings.Contains(strings.Join(warnings, "\n"), secret) {
				t.Errorf("%s=%s: got %v, %v", v.name, value, err, warnings)
			}
		}
	}
}
