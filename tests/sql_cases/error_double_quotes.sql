SET "a" = 'b';
