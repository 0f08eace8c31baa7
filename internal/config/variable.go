package config

import (
	"slices"
	"strings"
	"time"
)

// The names that are used in more than one place.
const (
	mode         = "POSTGRES_MIGRATOR_MODE"
	migratorConn = "POSTGRES_MIGRATOR_CONNECTION_STR"
	webConn      = "POSTGRES_CONNECTION_STR"
	webRole      = "POSTGRES_MIGRATOR_UNPRIVILEGED_USER"
	webPassword  = "POSTGRES_MIGRATOR_UNPRIVILEGED_USER_PASSWORD" //nolint:gosec // a name
	masterKey    = "AVTOTPY_MASTER_KEY"
	dataDir      = "AVTOTPY_DATA_DIR"
	listenAddr   = "AVTOTPY_LISTEN_ADDR"
	healthAddr   = "AVTOTPY_HEALTH_ADDR"
	backupDir    = "POSTGRES_MIGRATOR_BACKUP_DIR"
	runAs        = "AVTOTPY_USER"

	fileSuffix = "_FILE"
)

// variable is one row of the table from which settings are parsed, explained and documented.
type variable struct {
	name      string
	group     string
	def       string // the value when it is not set
	whenUnset string // in words, what happens when it is not set and has no default
	help      string // sentences
	example   string // a value; for a secret that must not be copied from here, empty
	secret    bool   // may also be given as name_FILE; never shown
	// the modes that need it when a database is configured; the others don't read it. None: all read it
	neededBy       []Mode
	neededFor      string // continues "MODE needs it"
	privileged     bool   // of no use to a process that only serves, and kept from it
	readForInspect bool   // read by commands that only inspect the database, if it is set
	set            func(*Config, string) error
}

// usedIn reports whether a mode reads the variable; a mode that is not known reads all. What is not a secret does no
// harm: by the name of the unprivileged user SKIP finds out whether the web server connects as another.
func (v variable) usedIn(m Mode) bool {
	return !v.secret || len(v.neededBy) == 0 || m == "" || slices.Contains(v.neededBy, m) ||
		m == Inspect && v.readForInspect
}

func (v variable) fileName() string { return v.name + fileSuffix }

func (v variable) exampleFile() string { return "/run/secrets/" + strings.ToLower(v.name) }

// assignment returns an example as it is written in a shell or a compose file.
func (v variable) assignment() string {
	if v.example == "" {
		return v.fileName() + "=" + v.exampleFile()
	}
	return v.name + "=" + v.example
}

// forExample ends a message.
func (v variable) forExample() string {
	if v.name == mode { // its message names all values
		return ""
	}
	return "; for example " + v.assignment()
}

// The groups of variables, in the order in which people read about them.
const (
	start    = "What a start does"
	database = "PostgreSQL of your own"
	embedded = "Embedded PostgreSQL"
	backups  = "Backups"
	waiting  = "How long the migrator waits"
	server   = "Web server"
	logging  = "Log"
)

// variables returns the table, in the order in which people read about it. The mode comes first: the others
// depend on it.
func variables() []variable {
	return slices.Concat(connectionVariables(), folderVariables(), waitingVariables(), addressVariables(),
		serverVariables(), logVariables())
}

// connectionVariables are the mode, and how to connect.
func connectionVariables() []variable {
	migrates, serves := []Mode{Run, RunAndExit}, []Mode{Run, Skip}
	return []variable{
		{
			name: mode, group: start, def: string(Run), example: string(Skip), set: setMode,
			help: "RUN migrates the database, then starts the web server. RUN_AND_EXIT migrates and exits, for " +
				"an init container or a job. " +
				"SKIP starts the web server at once and never migrates, for when something else does.",
		},
		{ //nolint:gosec // PASSWORD stands for one
			name: migratorConn, group: database, secret: true, privileged: true, set: setMigratorConn,
			neededBy: migrates, neededFor: "to migrate as a privileged user", readForInspect: true,
			whenUnset: "embedded PostgreSQL",
			help: "How the migrator connects, as a privileged user: a URL or key=value pairs, several " +
				"hosts allowed. " +
				"The connection is closed before the web server starts, and the string leaves the process.",
			example: "postgres://admin:PASSWORD@db.example.com:5432/avtotpy",
		},
		{ //nolint:gosec // PASSWORD stands for one
			name: webConn, group: database, secret: true, set: setWebConn,
			neededBy: serves, neededFor: "to serve as the unprivileged user", readForInspect: true,
			whenUnset: "embedded PostgreSQL",
			help: "How the web server connects, as the unprivileged user, to the same database. Its form " +
				"is the same.",
			example: "postgres://avtotpy_web:PASSWORD@db.example.com:5432/avtotpy",
		},
		{
			name: webRole, group: database, set: setWebRole,
			neededBy: migrates, neededFor: "to create that user",
			whenUnset: "none, needed with PostgreSQL of your own",
			help: "The unprivileged user, which the migrator creates with no more rights than the web " +
				"server uses.",
			example: "avtotpy_web",
		},
		{
			name: webPassword, group: database, secret: true, privileged: true, set: setWebPassword,
			neededBy: migrates, neededFor: "to create the unprivileged user",
			whenUnset: "none, needed with PostgreSQL of your own",
			help: "The password of that user, in printable ASCII, with which the migrator creates it. To change " +
				"it, set the new one here and in " +
				"POSTGRES_CONNECTION_STR, and restart: a user that the migrator made gets it. Of any other user it " +
				"is not changed.",
		},
	}
}

// folderVariables are where files are.
func folderVariables() []variable {
	return []variable{
		{
			name: dataDir, group: embedded, set: setDataDir,
			whenUnset: "a folder of the user",
			help: "The folder of the embedded PostgreSQL, its passwords and its master key; back it up. " +
				"When it is not set, this is avtotpy in $XDG_DATA_HOME or ~/.local/share, on macOS in " +
				"~/Library/Application Support, and for root /var/lib/avtotpy.",
			example: "/var/lib/avtotpy",
		},
		{
			name: "AVTOTPY_POSTGRES_BIN", group: embedded, set: setPostgresBin,
			whenUnset: "searched for",
			help: "The folder of the programs initdb and postgres, version 15 or newer, and of pg_dump, which " +
				"makes backups. " +
				"When it is not set, they are searched for in PATH and the usual places, the newest first.",
			example: "/usr/lib/postgresql/17/bin",
		},
		{
			name: backupDir, group: backups, set: setBackupDir,
			whenUnset: "off; embedded: backups in AVTOTPY_DATA_DIR",
			help: "The folder into which the schema is dumped before migrations change it, or off. When that " +
				"fails, nothing is migrated. " +
				"It takes pg_dump of the server's version or newer. No backup is ever deleted; docs/backup.md " +
				"explains how to restore one.",
			example: "/var/lib/avtotpy/backups",
		},
	}
}

// waitingVariables are how long the migrator waits.
func waitingVariables() []variable {
	return []variable{
		{
			name: "POSTGRES_MIGRATOR_CONNECT_WAIT", group: waiting, def: "1m", example: "2m",
			set: setDuration(func(c *Config) *time.Duration { return &c.ConnectWait }),
			help: "How long to retry connecting to a database that does not answer yet. The default is twice the " +
				"time after which Patroni, as it is delivered, promotes another server. " +
				"A command that only inspects the database waits no longer for its answers either, but 5 s at least " +
				"for each of them.",
		},
		{
			name: "POSTGRES_MIGRATOR_LOCK_TIMEOUT", group: waiting, def: "5s", example: "2s",
			set: setDuration(func(c *Config) *time.Duration { return &c.LockTimeout }),
			help: "How long a statement may queue for a lock on a table, since all other queries of that table " +
				"queue behind it. Then it is rolled back and tried again.",
		},
		{
			name: "POSTGRES_MIGRATOR_WAIT", group: waiting, def: "10m", example: "1h",
			set: setDuration(func(c *Config) *time.Duration { return &c.Wait }),
			help: "How long to wait in all for other migrators, for locks and for a database that stopped " +
				"answering, before giving up. " +
				"LOCK_TIMEOUT, and after a lost connection CONNECT_WAIT, are cut to what is left of it. When hardly " +
				"anything is left, an answer or " +
				"a connection that is under way still gets 5 s, and a lock 100 ms.",
		},
	}
}

// addressVariables are where the web server listens, and who is in front of it.
func addressVariables() []variable {
	return []variable{
		{
			name: listenAddr, group: server, def: "127.0.0.1:8080", example: "0.0.0.0:8080", set: setListenAddr,
			help: "The address and port on which the web server listens. Without an address, as in :8080, it " +
				"listens on all.",
		},
		{
			name: healthAddr, group: server, example: "127.0.0.1:9090", set: setHealthAddr,
			whenUnset: "off",
			help: "A second address, for machines only: /livez, /readyz and /metrics for Prometheus. It is " +
				"open while the migrations run, too.",
		},
		{
			name: "AVTOTPY_PUBLIC_URL", group: server, set: setPublicURL,
			whenUnset: "derived from AVTOTPY_LISTEN_ADDR",
			help: "The address that people type into the browser, without a path. Requests for other host " +
				"names are refused.",
			example: "https://otp.example.com",
		},
		{
			name: "AVTOTPY_TRUSTED_PROXIES", group: server, set: setTrustedProxies,
			whenUnset: "none",
			help: "The addresses or networks of the reverse proxies in front of the web server, divided by " +
				"commas; unix is a proxy that connects over a Unix socket. " +
				"Their X-Forwarded-For says where a request comes from: the last address in it that is not a " +
				"proxy's counts. " +
				"Nobody else's is read. Without it, everybody behind a proxy is one visitor. " +
				"Name only proxies, and not the network of the people. For proxies that write the header Forwarded " +
				"instead, add the word forwarded to the list; only one of the two is ever read.",
			example: "127.0.0.1,10.0.0.0/24",
		},
	}
}

// serverVariables are the rest of the web server's.
func serverVariables() []variable {
	return []variable{
		{
			name: runAs, group: server, set: setUser,
			whenUnset: "embedded: the owner of the data",
			help: "The user, by name or number, that the program becomes when root starts it: before it listens, " +
				"and for good. " +
				"Without it, and with a PostgreSQL of your own, the program stays what it is, and warns when that " +
				"is root. docs/permissions.md says more.",
			example: "avtotpy",
		},
		{
			name: masterKey, group: server, secret: true, set: setMasterKey,
			neededBy: []Mode{Run, Skip}, neededFor: "to encrypt what it stores; make one with `avtotpy key generate`",
			whenUnset: "embedded PostgreSQL: a generated one",
			help: "The keys that encrypt the data, one id:base64 a line, the first one active; make one with " +
				"`avtotpy key generate`. " +
				"Keep a copy apart from the database: without it the data cannot be read.",
		},
		{
			name: "AVTOTPY_AUDIT_RETENTION_DAYS", group: server, def: "400", example: "0", set: setAuditRetention,
			help: "How many days the audit log is kept, at least 90; 0 keeps it for ever. Older rows are deleted " +
				"while the web server runs.",
		},
	}
}

// logVariables are about the log.
func logVariables() []variable {
	return []variable{
		{
			name: "AVTOTPY_LOG_LEVEL", group: logging, def: "info", example: "debug", set: setLogLevel,
			help: "Minimum log level: debug, info, warn or error.",
		},
		{
			name: "AVTOTPY_LOG_FORMAT", group: logging, def: string(LogAuto), example: "json", set: setLogFormat,
			help: "text, json, or auto: text on a terminal and JSON otherwise.",
		},
	}
}
