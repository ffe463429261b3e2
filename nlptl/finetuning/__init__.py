"""Everything behind the finetune and domain_adaptation stages."""
