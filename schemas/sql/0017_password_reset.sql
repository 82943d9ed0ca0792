-- A lost password: until the hour is over, the user may set another with the one-time password that this is the hash of.
set role patriot_owner;

alter table users add column reset_hash text, add column reset_expires_at timestamptz;
