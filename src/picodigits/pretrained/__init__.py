"""The models that ship, as model files, and their cards."""
