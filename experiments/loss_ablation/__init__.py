"""Which contrastive loss fine-tunes a CLIP best, by retrieval and by the masks that follow?"""
