"""What the pages of a run and of a sweep are both made of: template parts, one stylesheet, scripts, small drawings."""
