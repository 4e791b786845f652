"""How Alembic reaches the database: on the connection that `baken.store.migrate` opened, inside its transaction."""

from __future__ import annotations

from alembic import context

from baken.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
