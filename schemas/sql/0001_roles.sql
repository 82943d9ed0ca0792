-- Three roles. patriot_owner owns the tables, patriot_app serves requests (row-level security binds it),
-- patriot_system writes batches, relays, projects and reconciles across tenants.
-- Several databases of one server may be migrated at once, and a managed server's roles are made by hand
-- (docs/operations.md, "Roles"): a role that exists already is fine.
-- replaces 8d65f5fe473cf10e1756284895ce2a16ceb7f6521d16a77558d93e0effd1c350 (which failed for who may create no role)
do $$
declare
    wanted record;
begin
    for wanted in
        select * from (values
            ('patriot_owner', 'nologin nobypassrls'),
            ('patriot_app', 'login nobypassrls'),
            ('patriot_system', 'login bypassrls')
        ) as roles (name, attributes)
        where not exists (select from pg_roles where rolname = name)
    loop
        begin
            execute format('create role %I with %s', wanted.name, wanted.attributes);
        exception
            when duplicate_object or unique_violation then null;
        end;
    end loop;
end
$$;

do $$
begin
    execute format('grant create, connect on database %I to patriot_owner', current_database());
    execute format('grant connect on database %I to patriot_app, patriot_system', current_database());
end
$$;

grant create, usage on schema public to patriot_owner;
grant usage on schema public to patriot_app, patriot_system;
set role patriot_owner;

-- The tenant of this transaction: select set_config('patriot.tenant_id', '<uuid>', true). Unset means no rows.
create function current_tenant() returns uuid
language sql stable parallel safe
return nullif(current_setting('patriot.tenant_id', true), '')::uuid;

-- Every tenant table calls this once: the app role reads and writes its own tenant's rows and no others.
create function isolate_tenants(target regclass) returns void
language plpgsql as $$
begin
    execute format('alter table %s enable row level security', target);
    execute format('alter table %s force row level security', target);
    execute format(
        'create policy tenant_isolation on %s using (tenant_id = (select current_tenant()))'
        ' with check (tenant_id = (select current_tenant()))', target);
    execute format('grant select on %s to patriot_app', target);
    execute format('grant select, insert, update, delete, truncate on %s to patriot_system', target);
end
$$;
revoke execute on function isolate_tenants(regclass) from public;
