"""The backend "flex": a plan's rules as FlexAttention's block masks, masks and scores, made on the batch's device."""
