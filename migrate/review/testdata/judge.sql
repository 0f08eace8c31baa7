-- What the judge remembers of a release, and asks of a server.
CREATE SCHEMA judge;
CREATE TABLE judge.relations (oid oid, name text, kind "char", rows bigint);
CREATE TABLE judge.statements (n integer GENERATED ALWAYS AS IDENTITY, sql text);

-- relations is what the transaction at hand does to what the release made.
CREATE FUNCTION judge.relations() RETURNS text LANGUAGE sql AS $$
SELECT coalesce(json_object_agg(r.oid, json_build_object(
    'Name', r.name, 'Kind', r.kind, 'Rows', r.rows,
    'Node', coalesce(pg_relation_filenode(c.oid)::text, ''),
    'Read', CASE WHEN r.kind IN ('r', 'm') THEN coalesce(pg_stat_get_xact_tuples_returned(r.oid), 0) ELSE 0 END,
    'Strong', EXISTS (
        SELECT FROM pg_locks l
        WHERE l.pid = pg_backend_pid() AND l.relation = r.oid AND l.granted AND l.mode = ANY (CASE
            WHEN r.kind IN ('r', 'p') THEN '{ShareLock,ShareRowExclusiveLock,ExclusiveLock,AccessExclusiveLock}'::text[]
            WHEN r.kind = 'S' THEN '{ShareRowExclusiveLock,ExclusiveLock,AccessExclusiveLock}'
            ELSE '{AccessExclusiveLock}' END))
)), '{}')
FROM judge.relations r LEFT JOIN pg_class c ON c.oid = r.oid
$$;

-- grants are what the migrator gives to the role after the files.
CREATE FUNCTION judge.grants(web text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA app TO %1$I; GRANT ALL ON ALL TABLES IN SCHEMA app TO %1$I;
        GRANT ALL ON ALL SEQUENCES IN SCHEMA app TO %1$I; GRANT ALL ON ALL ROUTINES IN SCHEMA app TO %1$I', web);
END $$;

-- remember notes what the release made, and the statements of its programs that work.
CREATE FUNCTION judge.remember(web text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    made record;
    counted bigint;
    said text[];
BEGIN
    PERFORM judge.grants(web);
    TRUNCATE judge.relations, judge.statements;
    FOR made IN SELECT oid, relname, relkind FROM pg_class WHERE relnamespace = 'app'::regnamespace AND relkind <> 'c' LOOP
        counted := NULL;
        IF made.relkind IN ('r', 'm') THEN
            EXECUTE 'SELECT count(*) FROM ' || made.oid::regclass INTO counted;
        ELSIF made.relkind = 'i' THEN
            EXECUTE 'SELECT count(*) FROM ' || (SELECT indrelid FROM pg_index WHERE indexrelid = made.oid)::regclass INTO counted;
        END IF;
        INSERT INTO judge.relations VALUES (made.oid, made.relname, made.relkind, counted);
    END LOOP;
    INSERT INTO judge.statements (sql)
    SELECT sql FROM (
        SELECT 1, format('SELECT %s FROM %s', list, t) FROM judge.columns WHERE list IS NOT NULL
        UNION ALL
        SELECT 2, format('UPDATE %s SET %s', t, sets) FROM judge.columns WHERE sets IS NOT NULL AND kind IN ('r', 'p', 'v')
        UNION ALL
        SELECT 3, format('INSERT INTO %1$s (%2$s) SELECT %2$s FROM %1$s LIMIT 1 ON CONFLICT DO NOTHING', t, writable)
        FROM judge.columns WHERE kind IN ('r', 'p') AND writable IS NOT NULL
        UNION ALL
        SELECT 4, format('INSERT INTO %1$s (%2$s) SELECT %2$s FROM %1$s LIMIT 1 ON CONFLICT DO NOTHING', c.t, but.list)
        FROM judge.columns c JOIN pg_attribute one ON one.attrelid = c.oid AND one.attnum > 0 AND NOT one.attisdropped, LATERAL (
            SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute a
            WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attidentity <> 'a' AND a.attnum <> one.attnum
        ) but (list)
        WHERE kind IN ('r', 'p') AND but.list IS NOT NULL AND one.attgenerated = '' AND one.attidentity <> 'a'
        UNION ALL
        SELECT 5, format('INSERT INTO %1$s (%2$s) SELECT %2$s FROM %1$s LIMIT 1 ON CONFLICT (%3$s) %4$s DO NOTHING', t, writable, k.list,
            'WHERE ' || pg_get_expr(i.indpred, i.indrelid))
        FROM judge.columns c JOIN pg_index i ON i.indrelid = c.oid AND i.indisunique,
        LATERAL (SELECT string_agg('(' || pg_get_indexdef(i.indexrelid, n, true) || ')', ', ') FROM generate_series(1, i.indnkeyatts) n) k (list)
        WHERE c.kind IN ('r', 'p') AND writable IS NOT NULL
        UNION ALL
        SELECT 5, format('INSERT INTO %1$s (%2$s) SELECT %2$s FROM %1$s LIMIT 1 ON CONFLICT ON CONSTRAINT %3$I DO NOTHING', t, writable, k.conname)
        FROM judge.columns c JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype IN ('p', 'u', 'x')
        WHERE c.kind IN ('r', 'p') AND writable IS NOT NULL
        UNION ALL
        SELECT 5, format('MERGE INTO %s USING (SELECT 1) one ON false WHEN MATCHED THEN DELETE', t) FROM judge.columns WHERE kind IN ('r', 'p')
        UNION ALL
        SELECT 6, format('SELECT %s(%s)', p.oid::regproc, (SELECT string_agg('NULL::' || format_type(a, NULL), ', ' ORDER BY n)
            FROM unnest(p.proargtypes) WITH ORDINALITY u (a, n)))
        FROM pg_proc p WHERE p.pronamespace = 'app'::regnamespace AND p.prokind = 'f' AND p.prorettype <> 'trigger'::regtype
        UNION ALL
        SELECT 7, format('SELECT %L::app.%I', e.enumlabel, y.typname)
        FROM pg_type y JOIN pg_enum e ON e.enumtypid = y.oid WHERE y.typnamespace = 'app'::regnamespace
        UNION ALL
        SELECT 8, format('SELECT NULL::app.%I', y.typname)
        FROM pg_type y WHERE y.typnamespace = 'app'::regnamespace AND y.typtype = 'd' AND NOT y.typnotnull
        UNION ALL
        SELECT 9, format('SELECT nextval(%L)', c.oid::regclass)
        FROM pg_class c WHERE c.relnamespace = 'app'::regnamespace AND c.relkind = 'S'
            AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'i')
        UNION ALL
        SELECT 10, format('SELECT (NULL::app.%I).%I', c.relname, a.attname)
        FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
        WHERE c.relnamespace = 'app'::regnamespace AND c.relkind = 'c'
    ) q (k, sql) ORDER BY k, sql;
    said := judge.programs(web);
    DELETE FROM judge.statements s WHERE said[s.n - (SELECT min(m.n) FROM judge.statements m) + 1] LIKE '%: %';
END $$;

CREATE VIEW judge.columns AS
SELECT c.oid, c.oid::regclass::text AS t, c.relkind AS kind,
    string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS list,
    string_agg(quote_ident(attname) || ' = ' || quote_ident(attname), ', ' ORDER BY attnum)
        FILTER (WHERE attgenerated = '' AND attidentity <> 'a') AS sets,
    string_agg(quote_ident(attname), ', ' ORDER BY attnum) FILTER (WHERE attgenerated = '' AND attidentity <> 'a') AS writable
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'app') AND c.relkind IN ('r', 'p', 'v', 'm')
GROUP BY c.oid;

-- programs runs the statements as an older program, changes nothing, and says how each ended.
CREATE FUNCTION judge.programs(web text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    s text;
    n bigint;
    said text[] := '{}';
BEGIN
    FOR s IN SELECT sql FROM judge.statements ORDER BY statements.n LOOP
        BEGIN
            PERFORM set_config('role', web, true);
            EXECUTE s;
            GET DIAGNOSTICS n = ROW_COUNT;
            RAISE EXCEPTION USING ERRCODE = 'JUDGE', MESSAGE = CASE WHEN s LIKE 'INSERT%' THEN '' ELSE ' ' || n END;
        EXCEPTION
            WHEN SQLSTATE 'JUDGE' THEN said := said || (s || SQLERRM);
            WHEN OTHERS THEN said := said || (s || ': ' || SQLSTATE || ' ' || SQLERRM);
        END;
    END LOOP;
    PERFORM set_config('role', 'none', true);
    RETURN said;
END $$;
