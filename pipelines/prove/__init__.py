"""Does synthetic video help? The same recognizer trained in many ways, and what each way is worth on unseen signers."""
