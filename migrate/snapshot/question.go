package snapshot

import (
	"strings"
)

// Qualified goes before a question whose answer names types or relations. With
// pg_catalog alone in the search path each other one is written with its schema, whatever
// path the role was given, also for a role that lacks USAGE on the schema.
const Qualified = "SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL quote_all_identifiers = off; SET LOCAL " +
	"row_security = on; "

// Settings go before Question in its transaction. They make deparsed text the same
// whatever a DBA, a client or the initdb of the server has set; Tell takes the schema's
// name away again.
const Settings = Qualified + `
	SET LOCAL client_encoding = 'UTF8'; SET LOCAL standard_conforming_strings = on; SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'postgres'; SET LOCAL TimeZone = 'UTC';
	SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 1; SET LOCAL lc_monetary = 'C'; SET LOCAL jit = off; SET LOCAL xmlbinary = 'base64'; SET LOCAL array_nulls = on;
	SET LOCAL lc_numeric = 'C'; SET LOCAL lc_time = 'C'; SET LOCAL timezone_abbreviations = 'Default'; `

// Question is one question, so that all of the answer is of one moment: every fact
// about the schema, a row for each. Its arguments are SQL literals: the schema's name, and that of the
// ledger, a table which is not told. It reads only catalogues that everybody may read, and calls no function that asks
// for a right. Each part below gives object, section, place and line; a line that is
// null, of what is being dropped meanwhile, is none. A condition on lines would make the
// server write each of them twice.
//
// Told are only things that a migration decides. Where and how the server stores them
// (tablespace, access method), whether a materialised view was filled, and versions of
// collations are the DBA's.
func Question(schema, ledger string) string {
	return about(schema, ledger, "<>", relationFacts, columnFacts, constraintFacts, indexFacts, relatedFacts,
		viewFacts, sequenceFacts, routineFacts, aggregateFacts, typeFacts, otherFacts)
}

// Ledger is Question about the ledger, and nothing else.
func Ledger(schema, ledger string) string {
	return about(schema, ledger, "=", relationFacts, columnFacts, constraintFacts, indexFacts, relatedFacts,
		ledgerFacts)
}

// about asks the parts about the relations whose name compares to the ledger's.
func about(schema, ledger, compares string, parts ...string) string {
	return strings.NewReplacer("$schema", schema, "$ledger", ledger, "$compares", compares).Replace(`
	WITH space AS MATERIALIZED (SELECT oid FROM pg_namespace WHERE nspname = $schema),
	member AS MATERIALIZED (SELECT classid, objid FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'),
	relation AS MATERIALIZED (SELECT c.*, CASE relkind WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view ' WHEN 'S' THEN 'sequence ' WHEN 'c' THEN 'composite type '
			WHEN 'f' THEN 'foreign table ' ELSE 'table ' END || quote_ident(relname) AS object
		FROM pg_class c WHERE relnamespace = (SELECT oid FROM space) AND relkind IN ('r', 'p', 'f', 'v', 'm', 'S', 'c') AND relname $compares $ledger
			AND oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_class'::regclass)),
	routine AS MATERIALIZED (SELECT p.*, CASE prokind WHEN 'p' THEN 'procedure ' WHEN 'a' THEN 'aggregate ' ELSE 'function ' END
			|| quote_ident(proname) || '(' || array_to_string(ARRAY(SELECT format_type(t, NULL) FROM unnest(proargtypes) WITH ORDINALITY a (t, n) ORDER BY n), ', ') || ')' AS object
		FROM pg_proc p WHERE pronamespace = (SELECT oid FROM space) AND oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_proc'::regclass)
			AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'i')), -- the constructors of a range type
	kind AS MATERIALIZED (SELECT t.*, CASE typtype WHEN 'e' THEN 'enum ' WHEN 'd' THEN 'domain ' ELSE 'range type ' END || quote_ident(typname) AS object
		FROM pg_type t WHERE typnamespace = (SELECT oid FROM space) AND typtype IN ('e', 'd', 'r') AND oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_type'::regclass))
	SELECT section || ' ' || place || ' ' || length(object) || ' ' || object || line
	FROM (` + strings.Join(parts, "\nUNION ALL ") + `) facts (object, section, place, line)`)
}

const relationFacts = `SELECT object, 0, 0, '' FROM relation
	UNION ALL SELECT object, 1, place, line FROM relation r, LATERAL (VALUES
		(1, CASE WHEN relpersistence = 'u' THEN 'unlogged' END),
		(2, CASE WHEN reloftype <> 0 THEN 'of ' || format_type(reloftype, NULL) END),
		(3, CASE WHEN relkind = 'p' THEN 'partitioned by ' || pg_get_partkeydef(r.oid) END),
		(4, CASE WHEN relispartition THEN (SELECT 'partition of ' || inhparent::regclass FROM pg_inherits WHERE inhrelid = r.oid) || ' ' || pg_get_expr(relpartbound, r.oid, true) END),
		(6, (SELECT 'with (' || string_agg(o, ', ' ORDER BY o COLLATE "C") || ')' FROM unnest(reloptions) o WHERE o NOT LIKE 'pg\_%')),
		(7, (SELECT 'with (' || string_agg('toast.' || o, ', ' ORDER BY o COLLATE "C") || ')' FROM pg_class t, unnest(t.reloptions) o WHERE t.oid = nullif(r.reltoastrelid, 0))),
		(8, CASE WHEN relrowsecurity THEN 'row security enabled' END),
		(9, CASE WHEN relforcerowsecurity THEN 'row security forced' END),
		(10, CASE relreplident WHEN 'f' THEN 'replica identity full' WHEN 'n' THEN CASE WHEN relkind IN ('r', 'p') THEN 'replica identity nothing' END
			WHEN 'i' THEN (SELECT 'replica identity using index ' || quote_ident(x.relname) FROM pg_index JOIN pg_class x ON x.oid = indexrelid WHERE indrelid = r.oid AND indisreplident) END)
		) f (place, line) WHERE line IS NOT NULL
	UNION ALL SELECT object, 1, 5, 'inherits ' || inhparent::regclass FROM relation r JOIN pg_inherits ON inhrelid = r.oid WHERE NOT relispartition
	UNION ALL SELECT object, 1, 5, 'inherited by ' || inhrelid::regclass FROM relation r JOIN pg_inherits ON inhparent = r.oid JOIN pg_class c ON c.oid = inhrelid
		WHERE c.relnamespace <> r.relnamespace
	UNION ALL SELECT object, 1, 11, 'server ' || quote_ident(srvname) || coalesce(' options (' || array_to_string(ftoptions, ', ') || ')', '')
		FROM relation r JOIN pg_foreign_table ON ftrelid = r.oid JOIN pg_foreign_server s ON s.oid = ftserver`

// From PostgreSQL 17 on a partition has its parent's identity, which is told there.
// attstattarget is -1 before PostgreSQL 17 where it is null from there on. Minor releases
// such as 15.20 stamp each column with an option of their own (pg_attver), which is
// another one on each server.
const columnFacts = `SELECT object, 2, attnum::int, concat_ws(' ', CASE relkind WHEN 'c' THEN 'attribute' ELSE 'column' END, quote_ident(attname), format_type(atttypid, atttypmod),
		CASE WHEN attcollation NOT IN (0, typcollation) THEN 'collate ' || attcollation::regcollation END,
		CASE WHEN attnotnull THEN 'not null' END,
		CASE attgenerated WHEN '' THEN 'default ' || pg_get_expr(adbin, 0, true)
			ELSE 'generated always as (' || pg_get_expr(adbin, adrelid, true) || ') ' || CASE attgenerated WHEN 's' THEN 'stored' ELSE 'virtual' END END,
		CASE CASE WHEN NOT relispartition THEN attidentity END WHEN 'a' THEN 'generated always as identity' WHEN 'd' THEN 'generated by default as identity' END,
		CASE WHEN attstorage <> typstorage THEN 'storage ' || CASE attstorage WHEN 'p' THEN 'plain' WHEN 'e' THEN 'external' WHEN 'm' THEN 'main' ELSE 'extended' END END,
		CASE attcompression WHEN '' THEN NULL WHEN 'p' THEN 'compression pglz' ELSE 'compression lz4' END,
		'statistics ' || nullif(attstattarget, -1),
		(SELECT 'with (' || string_agg(o, ', ' ORDER BY o COLLATE "C") || ')' FROM unnest(attoptions) o WHERE o NOT LIKE 'pg\_%'), 'options (' || array_to_string(attfdwoptions, ', ') || ')')
	FROM relation r JOIN pg_attribute ON attrelid = r.oid JOIN pg_type t ON t.oid = atttypid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
	WHERE relkind <> 'S' AND attnum > 0 AND NOT attisdropped`

// NOT NULL is told with its column, since PostgreSQL 18 and 17 made it a constraint
// (of tables and of domains); only there it can be one that was never validated, or that
// tables which inherit from this one do not get. What a
// partition has from its parent is told there. Tables of other schemas, which nobody here
// tells of, are told where they change what ours do: by inheritance and foreign keys.
const constraintFacts = `SELECT object, 3, 0, 'constraint ' || quote_ident(conname) || ' ' || pg_get_constraintdef(k.oid, true)
		|| CASE WHEN contype = 'f' AND EXISTS (SELECT FROM pg_trigger WHERE tgconstraint = k.oid AND tgenabled <> 'O') THEN ' disabled' ELSE '' END
	FROM relation r JOIN pg_constraint k ON conrelid = r.oid
	WHERE contype NOT IN ('t', 'n') AND conparentid = 0 OR contype = 'n' AND (connoinherit OR NOT convalidated)
	UNION ALL SELECT object, 3, 1, format('referenced by %s, constraint %I', conrelid::regclass, conname)
	FROM relation r JOIN pg_constraint k ON confrelid = r.oid JOIN pg_class c ON c.oid = conrelid WHERE contype = 'f' AND conparentid = 0 AND c.relnamespace <> r.relnamespace`

// The index of a constraint is told only where something is odd about it. What
// pg_get_indexdef says before USING is told already.
const indexFacts = `SELECT object, 4, 0, CASE WHEN indisunique THEN 'unique index ' ELSE 'index ' END || quote_ident(x.relname) || ' '
		|| substr(pg_get_indexdef(indexrelid, 0, true), length(format('CREATE %sINDEX %I ON %s%I.%I USING ',
			CASE WHEN indisunique THEN 'UNIQUE ' ELSE '' END, x.relname, CASE x.relkind WHEN 'I' THEN 'ONLY ' ELSE '' END, $schema, r.relname)) + 1)
		|| CASE WHEN indisvalid AND indisready AND indislive THEN '' ELSE ' invalid' END || CASE WHEN indisclustered THEN ' clustered' ELSE '' END
	FROM relation r JOIN pg_index ON indrelid = r.oid JOIN pg_class x ON x.oid = indexrelid LEFT JOIN pg_constraint ON conindid = indexrelid AND contype IN ('p', 'u', 'x')
	WHERE conindid IS NULL OR NOT (indisvalid AND indisready AND indislive) OR indisclustered OR x.reloptions IS NOT NULL`

const relatedFacts = `SELECT object, 5, 0, concat_ws(' ', 'policy', quote_ident(polname), CASE WHEN NOT polpermissive THEN 'restrictive' END,
		'for ' || CASE polcmd WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update' WHEN 'd' THEN 'delete' ELSE 'all' END,
		CASE WHEN polroles <> '{0}' THEN 'to ' || (SELECT string_agg(CASE o WHEN 0 THEN 'public' ELSE quote_ident(pg_get_userbyid(o)) END, ', ' ORDER BY pg_get_userbyid(o) COLLATE "C") FROM unnest(polroles) o) END,
		'using (' || pg_get_expr(polqual, polrelid, true) || ')', 'with check (' || pg_get_expr(polwithcheck, polrelid, true) || ')')
	FROM relation r JOIN pg_policy ON polrelid = r.oid
	UNION ALL SELECT object, 6, 0, 'trigger ' || substr(pg_get_triggerdef(g.oid, true), CASE WHEN tgconstraint = 0 THEN 16 ELSE 27 END)
		|| CASE tgenabled WHEN 'O' THEN '' WHEN 'D' THEN ' disabled' WHEN 'A' THEN ' enabled always' ELSE ' enabled on replicas' END
	FROM relation r JOIN pg_trigger g ON tgrelid = r.oid WHERE NOT tgisinternal
	UNION ALL SELECT object, 7, 0, 'rule ' || substr(pg_get_ruledef(w.oid, true), 13)
		|| CASE ev_enabled WHEN 'O' THEN '' WHEN 'D' THEN ' disabled' WHEN 'A' THEN ' enabled always' ELSE ' enabled on replicas' END
	FROM relation r JOIN pg_rewrite w ON ev_class = r.oid WHERE rulename <> '_RETURN'`

// ledgerFacts are what goes with a table that is made anew, and the comment by which one
// that lacks a column is told from another tool's.
const ledgerFacts = `SELECT object, 10, 0, 'comment ' || quote_literal(obj_description(oid, 'pg_class')) FROM relation
	UNION ALL SELECT object, 10, 1, 'comment on ' || quote_ident(attname) || ' ' || quote_literal(col_description(r.oid, attnum)) FROM relation r JOIN pg_attribute ON attrelid = r.oid AND attnum > 0
	UNION ALL SELECT object, 10, 2, 'statistics ' || quote_ident(stxname) FROM relation r JOIN pg_statistic_ext ON stxrelid = r.oid
	UNION ALL SELECT object, 10, 3, 'published by ' || quote_ident(pubname) FROM relation r JOIN pg_publication_rel ON prrelid = r.oid JOIN pg_publication p ON p.oid = prpubid`

const viewFacts = `SELECT object, 9, 2, pg_get_viewdef(oid, true) FROM relation WHERE relkind IN ('v', 'm')`

const sequenceFacts = `SELECT object, 2, 0, format('%s start %s increment %s minimum %s maximum %s cache %s%s', format_type(seqtypid, NULL), seqstart, seqincrement, seqmin, seqmax, seqcache, CASE WHEN seqcycle THEN ' cycle' END)
	FROM relation r JOIN pg_sequence ON seqrelid = r.oid
	UNION ALL SELECT object, 3, 0, CASE deptype WHEN 'i' THEN 'identity of ' ELSE 'owned by ' END || refobjid::regclass || '.' || quote_ident(attname)
	FROM relation r JOIN pg_depend ON classid = 'pg_class'::regclass AND objid = r.oid AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i') JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
	WHERE relkind = 'S'`

const routineFacts = `SELECT object, 0, 0, '' FROM routine
	UNION ALL SELECT object, 1, place, line FROM routine r JOIN pg_language l ON l.oid = prolang, LATERAL (VALUES
		(1, 'arguments ' || nullif(pg_get_function_arguments(r.oid), '')),
		(2, 'returns ' || pg_get_function_result(r.oid)),
		(3, CASE WHEN prokind <> 'a' THEN 'language ' || quote_ident(lanname) END),
		(4, CASE WHEN prokind = 'w' THEN 'window' END),
		(5, CASE WHEN prokind IN ('f', 'w') THEN CASE provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END END),
		(6, CASE WHEN proisstrict THEN 'strict' END),
		(7, CASE WHEN prosecdef THEN 'security definer' END),
		(8, CASE WHEN proleakproof THEN 'leakproof' END),
		(9, CASE proparallel WHEN 's' THEN 'parallel safe' WHEN 'r' THEN 'parallel restricted' END),
		(10, 'cost ' || nullif(procost, CASE WHEN lanname IN ('internal', 'c') THEN 1 ELSE 100 END)),
		(11, 'rows ' || nullif(prorows, CASE WHEN proretset THEN 1000 ELSE 0 END)),
		(12, CASE WHEN prosupport <> 0 THEN 'support ' || prosupport::regproc END),
		(13, 'transform for ' || (SELECT string_agg(format_type(t, NULL), ', ' ORDER BY n) FROM unnest(protrftypes) WITH ORDINALITY a (t, n)))
		) f (place, line) WHERE line IS NOT NULL
	UNION ALL SELECT object, 8, 0, 'set ' || split_part(s, '=', 1) || ' = ' || CASE split_part(s, '=', 1) WHEN 'search_path'
			-- FROM CURRENT, in a file, is this schema; files of earlier releases had no pg_temp after it.
			THEN coalesce(nullif(btrim(replace(', ' || substr(s, 13) || ',', ', ' || quote_ident($schema) || ',', ', "$own",'), ', '), '"$own", pg_temp'), '"$own"') ELSE substr(s, strpos(s, '=') + 1) END
		FROM routine, unnest(proconfig) s
	UNION ALL SELECT object, 9, CASE WHEN prosqlbody IS NULL THEN 0 ELSE 1 END, coalesce(pg_get_function_sqlbody(oid), concat_ws(', ', probin, prosrc)) FROM routine WHERE prokind <> 'a'`

// Rows of pg_aggregate are told as they are: its columns are the same since
// PostgreSQL 11, and few people ever write one.
const aggregateFacts = `SELECT object, 3, 0, substr(key, 4) || ' ' || value FROM routine r JOIN pg_aggregate a ON aggfnoid = r.oid, LATERAL jsonb_each_text(
		to_jsonb(a) - '{aggfnoid,aggtranstype,aggmtranstype,aggsortop}'::text[]
		|| jsonb_build_object('aggtranstype', format_type(aggtranstype, NULL), 'aggmtranstype', CASE WHEN aggmtranstype <> 0 THEN format_type(aggmtranstype, NULL) END, 'aggsortop', nullif(aggsortop, 0)::regoperator))
	WHERE value NOT IN ('-', '0', 'false') OR key LIKE 'agg%initval'`

const typeFacts = `SELECT object, 0, 0, '' FROM kind
	UNION ALL SELECT object, 1, 0, 'values ' || string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder) FROM kind k JOIN pg_enum ON enumtypid = k.oid GROUP BY object
	UNION ALL SELECT object, 1, 0, concat_ws(' ', format_type(typbasetype, typtypmod),
		CASE WHEN typcollation NOT IN (0, (SELECT b.typcollation FROM pg_type b WHERE b.oid = k.typbasetype)) THEN 'collate ' || typcollation::regcollation END,
		CASE WHEN typnotnull THEN 'not null' END, 'default ' || pg_get_expr(typdefaultbin, 0, true)) FROM kind k WHERE typtype = 'd'
	UNION ALL SELECT object, 2, 0, 'constraint ' || quote_ident(conname) || ' ' || pg_get_constraintdef(c.oid, true) FROM kind k JOIN pg_constraint c ON contypid = k.oid WHERE contype <> 'n'
	UNION ALL SELECT object, 1, 0, concat_ws(' ', 'of', format_type(rngsubtype, NULL), CASE WHEN NOT opcdefault THEN 'operator class ' || quote_ident(opcname) END,
		CASE WHEN rngcollation NOT IN (0, s.typcollation) THEN 'collate ' || rngcollation::regcollation END,
		'canonical ' || nullif(rngcanonical, 0)::regproc, 'difference ' || nullif(rngsubdiff, 0)::regproc, 'multirange ' || format_type(rngmultitypid, NULL))
	FROM kind k JOIN pg_range ON rngtypid = k.oid JOIN pg_opclass o ON o.oid = rngsubopc JOIN pg_type s ON s.oid = rngsubtype`

// What has no part of its own is found by its dependency on the schema and told by
// its name alone, so that nothing is overlooked, not even what a later version invents.
// notOfLedger leaves statistics of the ledger out.
const notOfLedger = `stxrelid NOT IN (SELECT oid FROM pg_class WHERE relnamespace = (SELECT oid FROM space) AND relname = $ledger)`

// PostgreSQL 15 keeps an ICU locale as it is written, later ones as a language tag: en-US for
// en_US, und for root. The provider of C is libc up to PostgreSQL 16 and builtin from 17 on, and it orders alike.
// Default privileges are no object; nor does a publication become one of the schema by
// publishing it. Arrays and multiranges come with their types.
const otherFacts = `SELECT 'statistics ' || quote_ident(stxname), 0, 0, '' FROM pg_statistic_ext WHERE stxnamespace = (SELECT oid FROM space) AND ` + notOfLedger + `
	UNION ALL SELECT 'statistics ' || quote_ident(stxname), 1, 0, substr(pg_get_statisticsobjdef(oid), length(format('CREATE STATISTICS %I.%I ', $schema, stxname)) + 1)
			|| coalesce(' statistics ' || nullif(stxstattarget, -1), '')
		FROM pg_statistic_ext WHERE stxnamespace = (SELECT oid FROM space) AND ` + notOfLedger + `
	UNION ALL SELECT 'collation ' || quote_ident(collname), 1, 0, concat_ws(' ', CASE collprovider WHEN 'i' THEN 'icu' WHEN 'c' THEN 'libc' WHEN 'b' THEN CASE to_jsonb(c) ->> 'colllocale' WHEN 'C' THEN 'libc' ELSE 'builtin' END ELSE 'default' END,
			CASE WHEN NOT collisdeterministic THEN 'not deterministic' END,
			CASE collprovider WHEN 'i' THEN coalesce(nullif(nullif(lower(replace(coalesce(to_jsonb(c) ->> 'colllocale', to_jsonb(c) ->> 'colliculocale'),
				'_', '-')), ''), 'root'), 'und') ELSE to_jsonb(c) ->> 'colllocale' END, collcollate, nullif(collctype, collcollate), 'rules ' || quote_literal(to_jsonb(c) ->> 'collicurules'))
		FROM pg_collation c WHERE collnamespace = (SELECT oid FROM space) AND oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_collation'::regclass)
	UNION ALL SELECT type || ' ' || identity, 0, 0, '' FROM pg_depend d, pg_identify_object(classid, objid, 0)
		WHERE refclassid = 'pg_namespace'::regclass AND refobjid = (SELECT oid FROM space) AND deptype = 'n' AND (classid, objid) NOT IN (SELECT classid, objid FROM member) AND CASE classid
			WHEN 'pg_class'::regclass THEN objid NOT IN (SELECT oid FROM relation) AND objid NOT IN (SELECT oid FROM pg_class WHERE relnamespace = (SELECT oid FROM space) AND relname = $ledger)
			WHEN 'pg_type'::regclass THEN objid NOT IN (SELECT oid FROM kind) AND objid NOT IN (SELECT reltype FROM relation) AND objid NOT IN (SELECT typarray FROM pg_type WHERE typnamespace = (SELECT oid FROM space)) AND objid NOT IN (SELECT rngmultitypid FROM pg_range)
			ELSE classid NOT IN ('pg_proc'::regclass, 'pg_statistic_ext'::regclass, 'pg_collation'::regclass, 'pg_default_acl'::regclass, 'pg_publication_namespace'::regclass) END`
