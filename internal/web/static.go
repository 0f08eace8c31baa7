package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

//go:embed static
var staticFiles embed.FS

//go:embed templates
var templateFiles embed.FS

// assets serves the files that do not change while the program runs. All are below
// a hash of all: a browser keeps them for ever, and a new release has new
// addresses. One hash for all, because modules import each other by relative names.
type assets struct {
	prefix  string
	files   map[string]asset
	modules func() map[string][]string // what each module imports, directly or not
}

// An asset is one file, compressed when the first browser asks for it: a start does not wait for that.
type asset struct {
	content    []byte
	kind       string // its media type
	compressed func() []byte
}

func newAssets() *assets {
	a := &assets{files: map[string]asset{}}
	sum := sha256.New()
	err := fs.WalkDir(staticFiles, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := staticFiles.ReadFile(name)
		sum.Write([]byte(name))
		sum.Write(content)
		a.files[strings.TrimPrefix(name, "static/")] = asset{
			content, mediaType(name),
			sync.OnceValue(func() []byte { return compress(content) }),
		}
		return err
	})
	if err != nil {
		panic(err) // the files are in the program
	}
	a.prefix = "/static/" + hex.EncodeToString(sum.Sum(nil)[:6]) + "/"
	a.modules = sync.OnceValue(func() map[string][]string {
		all := map[string][]string{}
		for name := range a.files {
			all[name] = a.follow(name)
		}
		return all
	})
	return a
}

// mediaType does not ask the system, which may call scripts something that browsers refuse.
func mediaType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "application/octet-stream"
}

// url returns the address of a file.
func (a *assets) url(name string) string { return a.prefix + name }

// scripts returns the modules of a page: its own, if it has one, and that of the session for a user who is logged
// in.
func (a *assets) scripts(page, user string) []string {
	var modules []string
	if user != "" {
		modules = append(modules, "session.js")
	}
	if module := page + ".js"; a.files[module].content != nil {
		modules = append(modules, module)
	}
	return modules
}

// imports returns the modules that modules import, directly or not. A page names them all, so that
// a browser asks for them at once, and not for one after it has read another.
func (a *assets) imports(modules []string) []string {
	var all []string
	for _, module := range modules {
		for _, imported := range a.modules()[module] {
			if !slices.Contains(all, imported) && !slices.Contains(modules, imported) {
				all = append(all, imported)
			}
		}
	}
	return all
}

func (a *assets) follow(module string) []string {
	found := []string{module}
	for i := 0; i < len(found); i++ {
		for line := range bytes.Lines(a.files[found[i]].content) {
			if imported, ok := importIn(string(line)); ok && !slices.Contains(found, imported) {
				found = append(found, imported)
			}
		}
	}
	return found[1:]
}

// importIn returns the file that a line imports, or the last line of an import does.
func importIn(line string) (name string, ok bool) {
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "import ") && !strings.HasPrefix(line, "export ") &&
		!strings.HasPrefix(line, "} from ") {
		return "", false
	}
	_, after, ok := strings.Cut(line, `"./`)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(after, `";`)
}

func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, ours := strings.CutPrefix(r.URL.Path, a.prefix)
	file, known := a.files[name]
	if !ours || !known {
		answer(w, http.StatusNotFound, "There is nothing at this address. Load the page again.")
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Header().Set("Content-Type", file.kind)
	// a thousand parts of a file take a hundred times as long as all of it
	if strings.Contains(r.Header.Get("Range"), ",") {
		r.Header.Del("Range")
	}
	if takesGzip(w, r) {
		sendCompressed(w, http.StatusOK, file.compressed())
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file.content))
}
