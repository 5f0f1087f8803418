"""Long operations as steps that survive a crash and can be undone."""
