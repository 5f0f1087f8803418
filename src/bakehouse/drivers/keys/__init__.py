"""Key stores: a folder, or memory."""
