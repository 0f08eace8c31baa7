package localpg

import (
	"errors"
	"fmt"
	"strings"

	"github.com/avtotpy/avtotpy/internal/owned"
)

// A Running server is that of another instance.
type Running struct{ WebConn, WebRole, MasterKey string }

// Join returns how to use the server that another instance runs on the folder, as the web role. Only who may read the
// secrets can.
func Join(o Options) (Running, error) {
	home, err := openFolder(o.DataDir)
	if err != nil {
		return Running{}, err
	}
	sockets := home.join("run")
	if !fitsSocket(sockets) {
		return Running{}, fmt.Errorf("the socket of the PostgreSQL that runs on %s is elsewhere, because its path "+
			"is too long: stop AVTotpy first", home.path)
	}
	dir, err := owned.Ours().Open(home.path)
	if err != nil {
		return Running{}, fmt.Errorf("data folder: %w", err)
	}
	defer dir.Close() //nolint:errcheck // nothing was written
	kept, err := dir.Sub("secrets")
	if err != nil {
		return Running{}, fmt.Errorf("read the secrets: %w", err)
	}
	defer kept.Close() //nolint:errcheck // as above
	read := func(name string) string {
		const longest = 64 << 10 // bytes
		text, failed := kept.Read(name, longest)
		err = errors.Join(err, failed)
		return strings.TrimSpace(string(text))
	}
	s := Server{sockets: sockets}
	r := Running{WebConn: s.conn(webRole, read("web-password"), databaseName), WebRole: webRole, MasterKey: o.MasterKey}
	if r.MasterKey == "" {
		r.MasterKey = read("master-key")
	}
	if err != nil {
		return Running{}, fmt.Errorf("read the secrets: %w", err)
	}
	return r, nil
}
