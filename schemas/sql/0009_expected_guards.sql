-- For a batch that was planned without locks. The snapshot that the check reads is taken after the lock: whoever has
-- raised a guard is seen, and whoever wants to waits for the end of this transaction.
set role patriot_owner;

create function expect_guards(tenants uuid[], scopes text[], versions integer[]) returns void
language plpgsql volatile as $$
begin
    lock table guards in row share mode;
    if exists (
        select from unnest(tenants, scopes, versions) as wanted (tenant_id, scope, version)
        left join guards g using (tenant_id, scope)
        where coalesce(g.version, 0) <> wanted.version or coalesce(g.halted, false)
    ) then
        raise exception 'a guard is not as expected' using errcode = 'serialization_failure';
    end if;
end
$$;
