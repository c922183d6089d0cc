//! Pages and their live parts. A page struct holds parts; the live frame renders the same parts.
