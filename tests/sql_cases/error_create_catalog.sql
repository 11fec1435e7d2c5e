CREATE CATALOG c WITH ('type'='jdbc');
