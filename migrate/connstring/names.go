package connstring

import (
	"maps"
	"slices"
	"strings"
)

// parameters are the names that may stand in a connection string, with what checks the value: "" is fine, anything else
// is what to write. libpq's come first, then those of pgx and pgxpool, then run-time parameters of the server.
//
// Of the server's only those are here that bound how long something takes or say who is asking. All others either
// change what a statement means, and the program sets them itself, or belong to the server, the database or the role,
// where a DBA sees them.
func parameters() map[string]func(string) string {
	return map[string]func(string) string{
		"host":                 checkHostList,
		"port":                 checkPortList,
		"dbname":               checkDatabase,
		"user":                 checkUser,
		"password":             anything,
		"passfile":             anything,
		"service":              anything, // complete checks it
		"servicefile":          anything,
		"connect_timeout":      whole(0, 86400, "a number of seconds"),
		"sslmode":              oneOf("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
		"sslnegotiation":       oneOf("postgres", "direct"),
		"sslcert":              anything, // checkFiles reads the four
		"sslkey":               anything,
		"sslpassword":          anything,
		"sslrootcert":          anything,
		"sslcertmode":          oneOf("disable", "allow", "require"),
		"sslsni":               oneOf("0", "1"),
		"channel_binding":      oneOf("disable", "prefer", "require"),
		"require_auth":         checkRequireAuth,
		"krbsrvname":           anything,
		"krbspn":               anything,
		"target_session_attrs": oneOf("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
		"min_protocol_version": oneOf("3.0", "3.2", "latest"),
		"max_protocol_version": oneOf("3.0", "3.2", "latest"),

		"default_query_exec_mode":       oneOf("cache_describe", "describe_exec", "exec", "simple_protocol"),
		"statement_cache_capacity":      whole(0, 1<<20, "a number of statements"),
		"description_cache_capacity":    whole(0, 1<<20, "a number of statements"),
		"pool_max_conns":                whole(1, 1<<16, "a number of connections"),
		"pool_min_conns":                whole(0, 1<<16, "a number of connections"),
		"pool_min_idle_conns":           whole(0, 1<<16, "a number of connections"),
		"pool_max_conn_lifetime":        duration,
		"pool_max_conn_lifetime_jitter": duration,
		"pool_max_conn_idle_time":       duration,
		"pool_health_check_period":      duration,
		"pool_ping_timeout":             duration,

		"application_name":                    anything, // the program puts its own in its place
		"client_encoding":                     checkEncoding,
		"options":                             checkOptions,
		"statement_timeout":                   interval,
		"lock_timeout":                        interval,
		"transaction_timeout":                 interval,
		"idle_in_transaction_session_timeout": interval,
		"idle_session_timeout":                interval,
	}
}

// Parameters lists the names that may stand in a connection string, for documents.
func Parameters() []string { return slices.Sorted(maps.Keys(parameters())) }

// runtime reports which names are the server's: options may set them too.
func runtime(name string) bool {
	return strings.HasSuffix(name, "_timeout") && name != "connect_timeout" && !strings.HasPrefix(name, "pool_")
}

// A foreign is a name or the beginning of a URL that other programs know, and why it is refused. It is public, so that
// a message may repeat it.
type foreign struct{ name, why string }

// foreignSchemes are the beginnings of URLs that other programs write.
func foreignSchemes() []foreign {
	const (
		java   = "the form of Java's driver"
		python = "the form of SQLAlchemy, which names a driver"
		other  = "a URL of another database system"
	)
	return []foreign{
		{"jdbc:", java},
		{"r2dbc:", java},
		{"postgresql+", python},
		{"postgres+", python},
		{"psql:", "which is no scheme of PostgreSQL"},
		{"pgsql:", "which is no scheme of PostgreSQL"},
		{"pg:", "which is no scheme of PostgreSQL"},
		{"postgis:", "the form of Django's and Rails' extensions"},
		{"ecto:", "the form of Elixir's driver"},
		{"prisma:", "a URL of Prisma's proxy"},
		{"prisma+postgres:", "a URL of Prisma's proxy"},
		{"cockroachdb:", other},
		{"cockroach:", other},
		{"mysql:", other},
		{"mysqlx:", other},
		{"mariadb:", other},
		{"sqlite:", other},
		{"sqlserver:", other},
		{"mssql:", other},
		{"oracle:", other},
		{"mongodb:", other},
		{"mongodb+srv:", other},
		{"redis:", other},
		{"rediss:", other},
		{"odbc:", "the form of ODBC"},
		{"http:", "an address of a web server"},
		{"https:", "an address of a web server"},
		{"tcp:", "which is no scheme of PostgreSQL"},
		{"unix:", "which is no scheme of PostgreSQL"},
		{"file:", "the name of a file"},
	}
}

// foreignNames are names of parameters that other programs know, in small letters, with what to write instead.
func foreignNames() map[string]string {
	const (
		dotNet = "that is the form of .NET or ODBC: " + usePairs
		pooled = "leave it out: this program notices a pooler by itself"
		number = "write pool_max_conns=N for the number of connections"
		schema = "leave it out: the schema is always called avtotpy or what the program was built for, and no " +
			"search path is used"
		alone = "leave it out: libpq knows it, this program's driver does not"
		ours  = "leave it out: what a statement means must not depend on it, so the program sets it itself"
		dba   = "leave it out; a DBA can set it for the role, with ALTER ROLE … SET"
		tls   = "write sslmode=require, or sslmode=verify-full and sslrootcert=FILE (docs/tls.md)"
		wait  = "write connect_timeout=SECONDS"
	)
	return map[string]string{
		// .NET, ODBC, OLE DB
		"server": dotNet, "data source": dotNet, "datasource": dotNet, "driver": dotNet, "dsn": dotNet,
		"initial catalog": dotNet,
		"user id":         dotNet, "uid": dotNet, "userid": dotNet, "pwd": dotNet, "username": dotNet,
		"hostname": dotNet,
		"provider": dotNet,
		"ssl mode": dotNet, "sslmode": "write it in small letters", "trust server certificate": dotNet,
		"trustservercertificate": dotNet,
		"integrated security":    dotNet, "pooling": dotNet, "minimum pool size": dotNet, "maximum pool size": dotNet,
		"max pool size": dotNet, "min pool size": dotNet,
		"command timeout": dotNet, "timeout": wait, "search path": schema, "include error detail": dotNet,
		"root certificate": tls,
		"pass":             dotNet, "passwd": dotNet, "db": dotNet, "databasename": dotNet, "database name": dotNet,
		"servername": dotNet,
		// written with capital letters
		"host": dotNet, "port": dotNet, "database": dotNet, "user": dotNet, "password": dotNet, "dbname": dotNet,
		// Prisma and other pools
		"pgbouncer": pooled, "connection_limit": number, "pool_timeout": wait, "schema": schema,
		"currentschema": schema,
		"pool_size":     number, "max_pool_size": number, "poolsize": number, "socket_timeout": wait, "sslaccept": tls,
		"sslidentity":                   tls,
		"statement_cache_size":          "write statement_cache_capacity=N",
		"prepared_statement_cache_size": "write statement_cache_capacity=N",
		"prepared_statements":           "write default_query_exec_mode=exec",
		"preparethreshold":              "write default_query_exec_mode=exec",
		"prepare_threshold":             "write default_query_exec_mode=exec",
		"prefer_simple_protocol":        "write default_query_exec_mode=simple_protocol",
		"max_conns":                     number, "max_connections": number, "workaround": pooled,
		"supa": "leave it out",
		// JDBC, node, Python, Go
		"ssl": tls, "sslfactory": tls, "sslrootcertificate": tls, "uselibpqcompat": "leave it out", "ssl_mode": tls,
		"tls": tls, "sslca": tls,
		"logintimeout": wait, "sockettimeout": wait, "connecttimeout": wait, "connect-timeout": wait,
		"connection_timeout": wait, "pool_max_size": number,
		"applicationname": "write application_name=NAME", "targetservertype": "write target_session_attrs=primary",
		"binary_parameters":              pooled,
		"disable_prepared_binary_result": pooled, "loadbalancehosts": alone, "charset": ours, "encoding": ours,
		"serverversion":  "leave it out",
		"async_fallback": "leave it out", "plugin": "leave it out", "stringtype": ours,
		"rewritebatchedinserts": "leave it out",
		// libpq, without pgx
		"hostaddr":                  "write the address as the host, in [ ] in a URL for IPv6",
		"fallback_application_name": "write application_name=NAME",
		"keepalives":                alone, "keepalives_idle": alone, "keepalives_interval": alone,
		"keepalives_count": alone,
		"tcp_user_timeout": alone,
		"sslcompression":   alone, "sslcrl": alone, "sslcrldir": alone, "requirepeer": alone,
		"ssl_min_protocol_version": alone,
		"ssl_max_protocol_version": alone, "gssencmode": alone, "gsslib": alone, "gssdelegation": alone,
		"replication":        alone,
		"load_balance_hosts": alone, "requiressl": tls, "scram_client_key": alone, "scram_server_key": alone,
		"sslkeylogfile": alone,
		"oauth_issuer":  alone, "oauth_client_id": alone, "oauth_client_secret": alone, "oauth_scope": alone,
		"authtype": alone, "tty": alone,
		// the server's
		"search_path": schema, "timezone": ours, "datestyle": ours, "intervalstyle": ours,
		"standard_conforming_strings": ours,
		"extra_float_digits":          ours, "bytea_output": ours, "row_security": ours,
		"session_replication_role":      ours,
		"backslash_quote":               ours,
		"default_transaction_isolation": ours, "default_transaction_read_only": ours,
		"default_transaction_deferrable": ours,
		"escape_string_warning":          ours, "array_nulls": ours, "transform_null_equals": ours, "xmloption": ours,
		"xmlbinary":             ours,
		"quote_all_identifiers": ours, "default_tablespace": ours, "default_table_access_method": ours,
		"check_function_bodies": ours,
		"synchronous_commit":    ours, "lc_messages": ours, "lc_monetary": ours, "lc_numeric": ours, "lc_time": ours,
		"default_toast_compression": ours,
		"role":                      "connect as that role", "session_authorization": "connect as that role",
		"client_min_messages":  dba,
		"work_mem":             dba,
		"maintenance_work_mem": dba, "temp_tablespaces": dba, "temp_buffers": dba, "jit": dba, "geqo": dba,
		"log_statement":   dba,
		"plan_cache_mode": dba, "statement_mem": dba, "max_parallel_workers_per_gather": dba,
		"client_connection_check_interval": dba,
		"tcp_keepalives_idle":              dba, "tcp_keepalives_interval": dba, "tcp_keepalives_count": dba,
	}
}

// canonical is the name under which a setting is kept: pgx knows database for libpq's dbname.
func canonical(name string) string {
	if name == "database" {
		return "dbname"
	}
	return name
}

// label adds the name to the number of a parameter, when it is a name that manuals list and not perhaps a part of a
// password.
func (settings) label(name, part string) string {
	_, known := parameters()[canonical(name)]
	_, listed := foreignNames()[strings.ToLower(name)]
	if known || listed {
		return part + " (" + name + ")"
	}
	return part
}

// add keeps a parameter whose name is known; the last of two with one name counts, as for libpq.
func (s settings) add(name, value, part string) error {
	name = strings.Trim(name, blanks)
	label := part
	if !strings.HasSuffix(part, ")") {
		label = s.label(name, part)
	}
	key := canonical(name)
	if _, known := parameters()[key]; known {
		s[key] = setting{value, label}
		return nil
	}
	if advice, listed := foreignNames()[strings.ToLower(name)]; listed {
		return refusal(label, advice)
	}
	return &Error{
		Part: label, Problem: "has a name that is not a parameter of PostgreSQL's",
		Next: "in a URL write %26 for & and %3F for ? in the password, in pairs write the password in quotes; " +
			"docs/configuration.md lists the parameters",
	}
}

// refusal is the error for a name that is known, and not taken.
func refusal(part, advice string) error {
	return &Error{Part: part, Problem: "is not a parameter of PostgreSQL's that this program takes", Next: advice}
}
