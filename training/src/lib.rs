//! Recipes that made the bundled weights, and fine-tuning for users.
