/** Gives an app on MariaDB a month of history: figures by the hour, the minute and the day, and when it was created and each user registered. */
export async function writePast(database, key) {
  const app = `(SELECT id FROM apps WHERE \`key\` = '${key}')`;
  const now = 'CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)';
  const figures = (span, points, registrations, online) => `REPLACE INTO app_figures (app_id, span, begins_at, registrations, peak_online)
    SELECT ${app}, ${span}, (${now} DIV ${span} - seq) * ${span}, ${registrations}, ${online} FROM seq_0_to_${points}`;
  // A daily wave, higher at weekends, rising over the month.
  const wave = `(1 + SIN((seq + 46 - HOUR(UTC_TIME())) / 24 * 2 * PI()))
    * IF(WEEKDAY(NOW() - INTERVAL seq HOUR) > 4, 1.3, 1) * (1.3 - seq / 1800) * (0.9 + RAND(seq DIV 24) / 5)`;
  const days = `REPLACE INTO app_figures (app_id, span, begins_at, registrations, peak_online)
    SELECT app_id, 86400000, begins_at DIV 86400000 * 86400000, SUM(registrations), MAX(peak_online) FROM app_figures
    WHERE app_id = ${app} AND span = 3600000 AND begins_at < ${now} DIV 86400000 * 86400000 GROUP BY app_id, begins_at DIV 86400000`;
  await database.sql(`
    UPDATE apps SET created_at = ${now} - 30 * 86400000 WHERE \`key\` = '${key}';
    UPDATE users JOIN (SELECT MAX(id) AS newest FROM users) AS all_of_them
      SET created_at = ${now} - 240000 - (newest - id) * 1560000;
    ${figures(3_600_000, 719, `ROUND(2 * ${wave} + RAND(seq))`, `ROUND(60 + 45 * ${wave} + 12 * RAND(seq))`)};
    ${days};
    ${figures(60_000, 59, 'IF(RAND() > 0.85, 1 + FLOOR(2 * RAND()), 0)', '146 + ROUND(5 * SIN(seq / 7) + 3 * RAND(seq))')};`);
}
