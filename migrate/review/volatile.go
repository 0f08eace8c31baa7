package review

// volatile are PostgreSQL's own functions that may give another value for each row, of 15
// to 18: provolatile is v in pg_proc. A test compares them with the server's.
func volatile() []string {
	return []string{
		"amvalidate", "array_sample", "array_shuffle", "bernoulli", "binary_upgrade_logical_slot_has_caught_up",
		"brin_summarize_new_values", "brin_summarize_range", "brinhandler", "bthandler", "clock_timestamp",
		"current_query", "currtid2", "currval", "cursor_to_xml", "cursor_to_xmlschema", "gen_random_uuid",
		"gin_clean_pending_list", "ginhandler", "gisthandler", "hashhandler", "heap_tableam_handler", "lastval",
		"lo_close", "lo_creat", "lo_create", "lo_export", "lo_from_bytea", "lo_get", "lo_import", "lo_lseek",
		"lo_lseek64", "lo_open", "lo_tell", "lo_tell64", "lo_truncate", "lo_truncate64", "lo_unlink", "loread",
		"lowrite", "nextval", "pg_advisory_unlock", "pg_advisory_unlock_shared", "pg_backup_start", "pg_backup_stop",
		"pg_blocking_pids", "pg_cancel_backend", "pg_collation_actual_version", "pg_control_checkpoint",
		"pg_control_init", "pg_control_recovery", "pg_control_system", "pg_copy_logical_replication_slot",
		"pg_copy_physical_replication_slot", "pg_create_logical_replication_slot",
		"pg_create_physical_replication_slot", "pg_create_restore_point", "pg_current_logfile",
		"pg_current_wal_flush_lsn", "pg_current_wal_insert_lsn", "pg_current_wal_lsn",
		"pg_database_collation_actual_version", "pg_database_size", "pg_export_snapshot", "pg_get_sequence_data",
		"pg_get_wal_replay_pause_state", "pg_get_wal_summarizer_state", "pg_import_system_collations",
		"pg_indexes_size", "pg_is_in_recovery", "pg_is_wal_replay_paused", "pg_isolation_test_session_is_blocked",
		"pg_jit_available", "pg_last_committed_xact", "pg_last_wal_receive_lsn", "pg_last_wal_replay_lsn",
		"pg_last_xact_replay_timestamp", "pg_log_backend_memory_contexts", "pg_log_standby_snapshot",
		"pg_logical_emit_message", "pg_nextoid", "pg_notification_queue_usage", "pg_promote", "pg_read_binary_file",
		"pg_read_file", "pg_read_file_old", "pg_relation_size", "pg_reload_conf", "pg_replication_origin_create",
		"pg_replication_origin_progress", "pg_replication_origin_session_is_setup",
		"pg_replication_origin_session_progress", "pg_replication_slot_advance", "pg_restore_attribute_stats",
		"pg_restore_relation_stats", "pg_rotate_logfile", "pg_rotate_logfile_old", "pg_safe_snapshot_blocking_pids",
		"pg_sequence_last_value", "pg_stat_file", "pg_stat_get_backend_wal", "pg_stat_get_xact_blocks_fetched",
		"pg_stat_get_xact_blocks_hit", "pg_stat_get_xact_function_calls", "pg_stat_get_xact_function_self_time",
		"pg_stat_get_xact_function_total_time", "pg_stat_get_xact_numscans", "pg_stat_get_xact_tuples_deleted",
		"pg_stat_get_xact_tuples_fetched", "pg_stat_get_xact_tuples_hot_updated", "pg_stat_get_xact_tuples_inserted",
		"pg_stat_get_xact_tuples_newpage_updated", "pg_stat_get_xact_tuples_returned",
		"pg_stat_get_xact_tuples_updated", "pg_stat_have_stats", "pg_switch_wal", "pg_table_size",
		"pg_tablespace_size", "pg_terminate_backend", "pg_total_relation_size", "pg_try_advisory_lock",
		"pg_try_advisory_lock_shared", "pg_try_advisory_xact_lock", "pg_try_advisory_xact_lock_shared",
		"pg_xact_commit_timestamp", "pg_xact_commit_timestamp_origin", "pg_xact_status", "query_to_xml",
		"query_to_xml_and_xmlschema", "query_to_xmlschema", "random", "random_normal", "set_config", "setval",
		"spghandler", "system", "timeofday", "ts_rewrite", "txid_status", "uuidv4", "uuidv7",
	}
}
