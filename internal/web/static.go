package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"strings"
)

//go:embed static
var staticFiles embed.FS

//go:embed templates
var templateFiles embed.FS

// assets serves the files that do not change while the program runs. All are below
// a hash of all: a browser keeps them for ever, and a new release has new
// addresses. One hash for all, because modules import each other by relative names.
type assets struct {
	prefix string
	files  http.Handler
}

func newAssets() *assets {
	sum := sha256.New()
	err := fs.WalkDir(staticFiles, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := staticFiles.ReadFile(path)
		sum.Write([]byte(path))
		sum.Write(content)
		return err
	})
	if err != nil {
		panic(err) // the files are in the program
	}
	prefix := "/static/" + hex.EncodeToString(sum.Sum(nil)[:6]) + "/"
	folder, err := fs.Sub(staticFiles, "static")
	if err != nil {
		panic(err) // the name is a valid path
	}
	return &assets{prefix, http.StripPrefix(prefix, http.FileServerFS(folder))}
}

// url returns the address of a file.
func (a *assets) url(name string) string { return a.prefix + name }

func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, ours := strings.CutPrefix(r.URL.Path, a.prefix)
	if _, err := fs.Stat(staticFiles, "static/"+name); !ours || name == "" || err != nil {
		answer(w, http.StatusNotFound, "There is nothing at this address. Load the page again.")
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	a.files.ServeHTTP(w, r)
}
