"""What this machine and its settings mean for spin-hub: findings by section."""
